"""The toolkit's conformance tests for every component, in each of its forms.

The package's conftest has loaded the plugin where it is not installed.
"""

from mcltoolkit.testing import CorrespondenceTests, GeneratorTests, LossTests

IDENTITY = dict(
    condition_encoder=None, image_encoder=None, correspondence=dict(type="IdentityCorrespondence")
)
SPADE = dict(base_width=4, ups=2, spade_hidden=4, init_gain=1.0)
STYLE = dict(
    use_vae=True,
    style=dict(style_channels=6, base_width=4, layers=3, init_gain=1.0),
    start_grid=(4, 4),
)
PIX2PIXHD = dict(base_width=8, downs=2, blocks=1)


class TestSPADE(GeneratorTests):
    component = "SPADEImageGenerator"
    settings = SPADE
    reads_warped = False


class TestSPADEWithStyle(GeneratorTests):
    component = "SPADEImageGenerator"
    settings = dict(SPADE, **STYLE)


class TestSPADEWithDrawnStyle(GeneratorTests):
    component = "SPADEImageGenerator"
    settings = dict(SPADE, **STYLE, style_at_test="drawn")


class TestPix2PixHD(GeneratorTests):
    component = "Pix2PixHDGenerator"
    settings = PIX2PIXHD
    reads_warped = False


class TestPix2PixHDWithTheWarpedExemplar(GeneratorTests):
    component = "Pix2PixHDGenerator"
    settings = dict(PIX2PIXHD, use_warped=True, upsampling="nearest", norm="syncbn")


class TestPix2PixHDWithEnhancers(GeneratorTests):
    component = "Pix2PixHDGenerator"
    settings = dict(PIX2PIXHD, use_warped=True, enhancers=2, enhancer_blocks=1)


class TestIdentity(CorrespondenceTests):
    component = "IdentityCorrespondence"
    in_channels = 0


class TestStyleKL(LossTests):
    component = "StyleKLLoss"
    model = dict(IDENTITY, generator=dict(type="SPADEImageGenerator", **SPADE, **STYLE))


class TestVGGReconstruction(LossTests):
    component = "VGGReconstructionLoss"
    settings = dict(layers={"relu1_1": 0.5, "relu3_1": 1.0})
    model = dict(IDENTITY, generator=dict(type="Pix2PixHDGenerator", **PIX2PIXHD))
