"""Every config loads, builds on the meta device, and a tiny version of one trains two steps."""

from __future__ import annotations

from pathlib import Path

import pytest
import torch
import yaml
from mmengine.config import Config
from mmengine.optim import OptimWrapper, OptimWrapperDict

from mcltoolkit.data.scenes import SceneDataset
from mcltoolkit.registry import MODELS
from mcltoolkit.structures import collate
