"""The diagnosis on a terminal."""

from __future__ import annotations

from rich.console import Console
from rich.markup import escape
from rich.table import Table

from mcltoolkit.data.doctor.findings import SEVERITIES, Diagnosis, Finding

STYLES = {"error": "bold red", "warning": "yellow", "note": "cyan"}


def show(diagnosis: Diagnosis, console: Console, examples: int = 3, classes: int = 40) -> None:
    """Print the data set's figures and a table of findings.

    Args:
        diagnosis: to be shown.
        console: where.
        examples: files shown of each finding.
        classes: classes shown, the most frequent first.
    """
    console.print(_overview(diagnosis), soft_wrap=True)
    if any(share.pixels for share in diagnosis.classes):
        console.print(_class_table(diagnosis, classes))
    if diagnosis.findings:
        console.print(_finding_table(diagnosis.findings, examples))
    counts = {s: sum(f.severity == s for f in diagnosis.findings) for s in SEVERITIES}
    words = ", ".join(f"{n} {s}{'' if n == 1 else 's'}" for s, n in counts.items())
    console.print(words if diagnosis.findings else "nothing found: the data set is fine")


def _overview(diagnosis: Diagnosis) -> str:
    lines = [f"data set {escape(diagnosis.root)}"]
    lines += [
        f"  {escape(name)}: {images} images, {labels} label maps"
        for name, (images, labels) in diagnosis.splits.items()
    ]
    if diagnosis.sizes:
        common, count = next(iter(diagnosis.sizes.items()))
        ordered = sorted(diagnosis.sizes, key=lambda size: size[0] * size[1])
        total = sum(diagnosis.sizes.values())
        texts = ["x".join(map(str, size)) for size in (ordered[0], ordered[-1], common)]
        lines.append(
            f"  sizes (height x width): smallest {texts[0]}, largest {texts[1]}, commonest "
            f"{texts[2]} ({count} of {total})"
        )
    return "\n".join(lines)


def _class_table(diagnosis: Diagnosis, shown: int) -> Table:
    table = Table(title=f"{diagnosis.num_classes} classes", title_justify="left")
    for heading, side in (("id", "right"), ("name", "left"), ("pixels", "right")):
        table.add_column(heading, justify=side)  # type: ignore[arg-type]
    table.add_column("label maps", justify="right")
    used = [share for share in diagnosis.classes if share.pixels]
    if len(diagnosis.classes) > shown:
        used = sorted(used, key=lambda share: -share.pixels)[:shown]
        table.title = f"the {len(used)} most frequent of {diagnosis.num_classes} classes"
    else:
        used = list(diagnosis.classes)
    for share in used:
        table.add_row(
            str(share.number), escape(share.name), f"{share.pixels:.2%}", f"{share.images:.1%}"
        )
    return table


def _finding_table(findings: tuple[Finding, ...], examples: int) -> Table:
    table = Table(title="findings", title_justify="left", show_lines=True)
    table.add_column("finding", no_wrap=True)
    table.add_column("count", justify="right")
    table.add_column("what and where, what is allowed, next step", overflow="fold")
    for finding in findings:
        style = STYLES[finding.severity]
        files = [f"  {escape(name)}" for name in finding.files[:examples]]
        if finding.count > examples:
            files.append(f"  ... {finding.count - examples} more")
        text = [
            f"[bold]{escape(finding.what)}[/]",
            *files,
            f"[dim]allowed:[/] {escape(finding.allowed)}",
            f"[dim]next:[/] {escape(finding.remedy)}",
        ]
        table.add_row(
            f"[{style}]{finding.severity}[/]\n{finding.code}", str(finding.count), "\n".join(text)
        )
    return table
