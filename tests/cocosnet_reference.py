"""The released CoCosNet as plain formulas over state dicts with the released key names.

Written from the papers' description for tests alone: nothing here uses the toolkit. `make` draws
state dicts of any width; `encode`, `correspond`, `generate` and `discriminate` are the networks.
"""

import torch
import torch.nn.functional as F

TASKS = {
    "ade20k": dict(channels=7, kernel=3, mask_mix=True, upsample="nearest", patch=False),
    "celebahq": dict(channels=6, kernel=4, mask_mix=True, upsample="bilinear", patch=False),
    "celebahqedge": dict(channels=5, kernel=4, mask_mix=True, upsample="bilinear", patch=False),
    "deepfashion": dict(channels=4, kernel=4, mask_mix=False, upsample="bilinear", patch=True),
}


class Maker:
    """Draws tensors into `state`; names are given without the leaf."""

    def __init__(self, seed):
        self.random = torch.Generator().manual_seed(seed)
        self.state = {}

    def draw(self, *shape, scale=1.0):
        return torch.randn(shape, generator=self.random) * scale

    def conv(self, name, inner, outer, kernel, bias=True, spectral=False):
        weight = self.draw(outer, inner, kernel, kernel, scale=(1.5 / (inner * kernel**2)) ** 0.5)
        if bias:
            self.state[f"{name}.bias"] = self.draw(outer, scale=0.2)
        if not spectral:
            self.state[f"{name}.weight"] = weight
            return
        u, _, v = torch.linalg.svd(weight.flatten(1), full_matrices=False)
        # near the singular vectors, as power iterations end, but not at them
        u, v = u[:, 0], v[0]
        u, v = (
            u + self.draw(len(u), scale=0.05 / len(u)),
            v + self.draw(len(v), scale=0.05 / len(v)),
        )
        self.state[f"{name}.weight_orig"] = weight
        self.state[f"{name}.weight_u"] = u / u.norm()
        self.state[f"{name}.weight_v"] = v / v.norm()

    def spade(self, name, width, context, hidden, batch_norm):
        self.conv(f"{name}.mlp_shared.1", context, hidden, 3)
        self.conv(f"{name}.mlp_gamma", hidden, width, 3)
        self.conv(f"{name}.mlp_beta", hidden, width, 3)
        if batch_norm:
            self.state[f"{name}.param_free_norm.running_mean"] = self.draw(width, scale=0.3)
            self.state[f"{name}.param_free_norm.running_var"] = 0.5 + self.draw(width) ** 2
            self.state[f"{name}.param_free_norm.num_batches_tracked"] = torch.tensor(17)

    def block(self, name, inner, outer, context, hidden, batch_norm=False, gate=False):
        middle = min(inner, outer)
        self.conv(f"{name}.conv_0", inner, middle, 3, spectral=True)
        self.conv(f"{name}.conv_1", middle, outer, 3, spectral=True)
        self.spade(f"{name}.norm_0", inner, context, hidden, batch_norm)
        self.spade(f"{name}.norm_1", middle, context, hidden, batch_norm)
        if inner != outer:
            self.conv(f"{name}.conv_s", inner, outer, 1, bias=False, spectral=True)
            self.spade(f"{name}.norm_s", inner, context, hidden, batch_norm)
        if gate:
            self.state[f"{name}.se_layar.fc.0.weight"] = self.draw(outer // 16, outer)
            self.state[f"{name}.se_layar.fc.2.weight"] = self.draw(outer, outer // 16)

    def attention(self, name, width, spectral=True):
        self.state[f"{name}.gamma"] = torch.tensor(0.6)
        for part, inner, outer in (
            ("theta", width, width // 8), ("phi", width, width // 8), ("g", width, width // 2),
            ("o", width // 2, width),
        ):  # fmt: skip
            self.conv(f"{name}.{part}", inner, outer, 1, bias=False, spectral=spectral)


def make(
    channels, kernel, base=4, hidden=6, embed=8, mask_mix=True, attention=True, batch_norm=False,
    non_local=False, gate=False, deeper=False, dilated=False, coordinates=False, scales=2, seed=0,
    **_,
):  # fmt: skip
    """{generator, alignment, discriminator: state dict with the released names}."""
    g = Maker(seed)
    context, wide = 3 + channels, 16 * base
    g.conv("fc", context, wide, 3)
    widths = {"head_0": (wide, wide), "G_middle_0": (wide, wide), "G_middle_1": (wide, wide)}
    widths |= {f"up_{i}": (wide >> i, wide >> (i + 1)) for i in range(4)}
    for name, (inner, outer) in widths.items():
        g.block(name, inner, outer, context, hidden, batch_norm)
    if attention:
        g.attention("attn", 4 * base)
    g.conv("conv_img", base, 3, 3)

    a = Maker(seed + 1)
    for name, inputs in (("adaptive_model_seg", channels), ("adaptive_model_img", 3)):
        sizes = [inputs, base, 2 * base, 4 * base, 8 * base, 8 * base]
        for i in range(5):
            k = kernel if i in (1, 3) else 3
            a.conv(f"{name}.layer{i + 1}.0", sizes[i], sizes[i + 1], k, bias=False, spectral=True)
        wide, out = 8 * base, 4 * base
        if non_local:
            a.attention(f"{name}.attn", wide, spectral=False)
        for part, outer in (("head_0", wide), ("G_middle_0", wide), ("G_middle_1", out)):
            a.block(f"{name}.{part}", wide, outer, inputs, hidden, batch_norm, gate)
        if deeper:
            for i in range(3):
                a.block(f"{name}.deeper{i}", out, out, inputs, hidden, batch_norm)
        if dilated:
            for i in range(2):
                a.conv(f"{name}.degridding{i}.0", out, out, 3, bias=False, spectral=True)
    joint = 4 * base + channels * mask_mix + 3 * coordinates
    for i in range(4):
        a.conv(f"layer.{i}.conv1", joint, joint, 3)
        a.conv(f"layer.{i}.conv2", joint, joint, 3)
        a.state[f"layer.{i}.prelu.weight"] = torch.tensor([0.1 + 0.05 * i])
    a.conv("theta", joint, embed, 1)
    a.conv("phi", joint, embed, 1)

    d = Maker(seed + 2)
    for scale in range(scales):
        name = f"discriminator_{scale}"
        d.conv(f"{name}.model0.0", channels + 3, base, 4)
        for i in range(1, 4):
            inner, outer = base << (i - 1), base << i
            d.conv(f"{name}.model{i}.0.0", inner, outer, 4, bias=False, spectral=True)
        d.conv(f"{name}.model4.0", 8 * base, 1, 4)
        if attention:
            d.attention(f"{name}.attn", 4 * base)
        for i, width in ((1, 4 * base), (4, 2 * base), (7, base)):
            d.conv(f"{name}.dec.{i}.0", width, width // 2, 3, bias=False, spectral=True)
        d.conv(f"{name}.dec.9", base // 2, channels, 3)
    return {"generator": g.state, "alignment": a.state, "discriminator": d.state}


class Network:
    """Formulas over one state dict, whose keys begin with `prefix`."""

    def __init__(self, state, prefix=""):
        self.state = {k.removeprefix(prefix): v for k, v in state.items() if k.startswith(prefix)}

    def weight(self, name):
        if f"{name}.weight" in self.state:
            return self.state[f"{name}.weight"]
        original, u, v = (self.state[f"{name}.weight_{kind}"] for kind in ("orig", "u", "v"))
        return original / (u @ original.flatten(1) @ v)

    def conv(self, name, x, stride=1, zeros=0, reflect=0, dilation=1):
        if reflect:
            x = F.pad(x, [reflect] * 4, mode="reflect")
        bias = self.state.get(f"{name}.bias")
        return F.conv2d(x, self.weight(name), bias, stride, zeros, dilation)

    def spade(self, name, x, context):
        if f"{name}.param_free_norm.running_mean" in self.state:
            mean = self.state[f"{name}.param_free_norm.running_mean"][:, None, None]
            var = self.state[f"{name}.param_free_norm.running_var"][:, None, None]
        else:
            mean, var = x.mean(1, keepdim=True), x.var(1, keepdim=True)
        hidden = F.interpolate(context, size=x.shape[-2:], mode="nearest")
        hidden = F.relu(self.conv(f"{name}.mlp_shared.1", hidden, reflect=1))
        gamma = self.conv(f"{name}.mlp_gamma", hidden, reflect=1)
        beta = self.conv(f"{name}.mlp_beta", hidden, reflect=1)
        return (x - mean) / (var + 1e-5).sqrt() * (1 + gamma) + beta

    def block(self, name, x, context, dilation=1):
        main = x
        for i in (0, 1):
            main = F.leaky_relu(self.spade(f"{name}.norm_{i}", main, context), 0.2)
            main = self.conv(f"{name}.conv_{i}", main, reflect=dilation, dilation=dilation)
        if f"{name}.se_layar.fc.0.weight" in self.state:
            gate = main.mean((2, 3)) @ self.state[f"{name}.se_layar.fc.0.weight"].T
            gate = gate.relu() @ self.state[f"{name}.se_layar.fc.2.weight"].T
            main = main * gate.sigmoid()[:, :, None, None]
        if f"{name}.conv_s.weight_orig" in self.state:
            x = self.conv(f"{name}.conv_s", self.spade(f"{name}.norm_s", x, context))
        return x + main

    def attention(self, name, x):
        queries = self.conv(f"{name}.theta", x).flatten(2)
        keys = F.max_pool2d(self.conv(f"{name}.phi", x), 2).flatten(2)
        values = F.max_pool2d(self.conv(f"{name}.g", x), 2).flatten(2)
        weights = (queries.transpose(1, 2) @ keys).softmax(2)
        mixed = (values @ weights.transpose(1, 2)).unflatten(2, x.shape[-2:])
        return x + self.state[f"{name}.gamma"] * self.conv(f"{name}.o", mixed)


def instance_norm(x):
    mean, var = x.mean((2, 3), keepdim=True), x.var((2, 3), keepdim=True, correction=0)
    return (x - mean) / (var + 1e-5).sqrt()


def encode(alignment, part, x):
    """`part` is seg (conditions) or img (pictures)."""
    net = Network(alignment, f"adaptive_model_{part}.")
    features = x
    for i in range(5):
        features = net.conv(f"layer{i + 1}.0", features, (1, 2, 1, 2, 1)[i], zeros=1)
        features = instance_norm(features)
        if i < 4:
            features = F.leaky_relu(features, 0.2)
    features = net.block("head_0", features, x)
    if "attn.gamma" in net.state:
        features = net.attention("attn", features)
    features = net.block("G_middle_0", features, x)
    features = net.block("G_middle_1", features, x)
    smooth = "degridding0.0.weight_orig" in net.state
    for i in range(3 if "deeper0.conv_0.bias" in net.state else 0):
        features = net.block(f"deeper{i}", features, x, dilation=(1, 2, 4)[i] if smooth else 1)
    if smooth:
        features = instance_norm(net.conv("degridding0.0", features, zeros=2, dilation=2))
        features = instance_norm(net.conv("degridding1.0", features, zeros=1))
    return features


def unit(x):
    return x / x.norm(dim=1, keepdim=True)


def compared(alignment, side, features, condition, mask_mix, coordinates=False):
    """The unit vectors (B, D, N) of `side`, theta or phi."""
    net = Network(alignment)
    x, (h, w) = unit(features), features.shape[-2:]
    if coordinates:
        rows = torch.linspace(-1, 1, h, dtype=x.dtype)[:, None].expand(h, w)
        columns = torch.linspace(-1, 1, w, dtype=x.dtype).expand(h, w)
        place = torch.stack([columns, rows, (columns**2 + rows**2).sqrt()])
        x = torch.cat([x, place.expand(len(x), 3, h, w)], 1)
    if mask_mix:
        x = torch.cat([x, F.interpolate(condition, size=(h, w), mode="nearest")], 1)
    for i in range(4):
        slope = net.state[f"layer.{i}.prelu.weight"]
        inner = F.prelu(instance_norm(net.conv(f"layer.{i}.conv1", x, reflect=1)), slope)
        x = F.prelu(instance_norm(net.conv(f"layer.{i}.conv2", inner, reflect=1)) + x, slope)
    values = F.unfold(net.conv(side, x), 3, padding=1)
    return unit(values - values.mean(1, keepdim=True))


def correspond(states, options, condition, exemplar, exemplar_condition, temperature=0.01):
    """Everything between the inputs and the generator, by name."""
    a, place = states["alignment"], options.get("coordinates", False)
    out = {"condition": encode(a, "seg", condition), "exemplar": encode(a, "img", exemplar)}
    mix = options["mask_mix"]
    out["theta"] = compared(a, "theta", out["condition"], condition, mix, place)
    out["phi"] = compared(a, "phi", out["exemplar"], exemplar_condition, mix, place)
    out["logits"] = out["theta"].transpose(1, 2) @ out["phi"] / temperature
    rows, columns = out["logits"].softmax(2), out["logits"].softmax(1)
    grid = out["condition"].shape[-2:]
    if options["patch"]:
        seen = F.unfold(exemplar, 4, stride=4) @ rows.transpose(1, 2)
        out["warped"] = F.fold(seen, condition.shape[-2:], 4, stride=4)
        out["cycle"] = F.fold(seen @ columns, condition.shape[-2:], 4, stride=4)
    else:
        seen = F.avg_pool2d(exemplar, 4).flatten(2) @ rows.transpose(1, 2)
        out["warped"] = F.interpolate(
            seen.unflatten(2, grid), scale_factor=4, mode=options["upsample"]
        )
        out["cycle"] = (seen @ columns).unflatten(2, grid)
    labels = F.interpolate(exemplar_condition, size=grid, mode="nearest").flatten(2)
    out["warped_labels"] = (labels @ rows.transpose(1, 2)).unflatten(2, grid)
    return out


def generate(states, warped, condition):
    net = Network(states["generator"])
    context = torch.cat([warped, condition], 1)
    coarse = [side // 32 for side in context.shape[-2:]]
    x = net.conv("fc", F.interpolate(context, size=coarse, mode="nearest"), zeros=1)
    x = net.block("head_0", x, context)
    for name in ("G_middle_0", "G_middle_1", "up_0", "up_1", "up_2", "up_3"):
        if name != "G_middle_1":
            x = F.interpolate(x, scale_factor=2, mode="nearest")
        if name == "up_2" and "attn.gamma" in net.state:
            x = net.attention("attn", x)
        x = net.block(name, x, context)
    return torch.tanh(net.conv("conv_img", F.leaky_relu(x, 0.2), zeros=1))


def discriminate(states, condition, image):
    """For each scale the outputs of its layers."""
    x, scales = torch.cat([condition, image], 1), []
    while f"discriminator_{len(scales)}.model0.0.weight" in states["discriminator"]:
        net = Network(states["discriminator"], f"discriminator_{len(scales)}.")
        layers = [F.leaky_relu(net.conv("model0.0", x, 2, zeros=1), 0.2)]
        for i in (1, 2, 3):
            inner = layers[-1]
            if i == 3 and "attn.gamma" in net.state:
                inner = net.attention("attn", inner)
            inner = instance_norm(net.conv(f"model{i}.0.0", inner, 1 if i == 3 else 2, zeros=1))
            layers.append(F.leaky_relu(inner, 0.2))
        scales.append([*layers, net.conv("model4.0", layers[-1], zeros=1)])
        x = F.avg_pool2d(x, 3, stride=2, padding=1, count_include_pad=False)
    return scales
