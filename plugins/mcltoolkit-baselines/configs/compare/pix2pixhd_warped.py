"""MCL-Net with pix2pixHD's generator, which reads the warped exemplar beside the condition."""

_base_ = "mclnet.py"

model = dict(
    generator=dict(
        _delete_=True,
        type="Pix2PixHDGenerator",
        use_warped=True,
        base_width=8,
        downs=2,
        blocks=3,
    ),
)
