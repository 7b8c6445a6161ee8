"""The demo page: draw a label map, choose an exemplar, translate, and look into the match.

`canvas` and `colours` are label maps on the way between page and model, `limits` what may be
uploaded, `examples` what can be chosen, `desk` what the page's actions do, `components` and `page`
what is seen, `serve` who can see it. Only the last three need Gradio (`mcltoolkit[web]`); a module
that imports them calls `require_gradio` first.
"""

from __future__ import annotations

import importlib.util
import os

from mcltoolkit.errors import ConfigError

# Gradio reads these when it is imported; the page has to work without a network and tells nobody.
OFFLINE = {
    "GRADIO_ANALYTICS_ENABLED": "False",
    "GRADIO_SHARE": "False",
    "GRADIO_MCP_SERVER": "False",
    "GRADIO_RUN_HISTORY": "False",
    "HF_HUB_OFFLINE": "1",
    "HF_HUB_DISABLE_TELEMETRY": "1",
}


def require_gradio() -> None:
    """Prepare the environment for Gradio; call it before the import.

    Raises:
        ConfigError: it is not installed.
    """
    if importlib.util.find_spec("gradio") is None:
        raise ConfigError(
            "the demo page needs Gradio, which is not installed; next step: "
            "pip install 'mcltoolkit[web]'"
        )
    os.environ.update(OFFLINE)
