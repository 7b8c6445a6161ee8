import torch
import torch.nn.functional as F
from mcltoolkit_cocosnet2.pyramid import Detail, FinerFeatures


def make(levels=2):
    torch.manual_seed(0)
    return FinerFeatures(6, {"condition": 5, "exemplar": 3}, levels, width=8, embed=4)


def test_vectors_of_each_level_are_centred_and_of_unit_length():
    module = make()
    found = module(torch.randn(2, 6, 3, 4), torch.randn(2, 3, 24, 32), "exemplar")
    assert [tuple(f.shape) for f in found] == [(2, 4, 6, 8), (2, 4, 12, 16)]
    for vectors in found:
        torch.testing.assert_close(vectors.square().sum(1), torch.ones_like(vectors[:, 0]))
        torch.testing.assert_close(
            vectors.mean(1), torch.zeros_like(vectors[:, 0]), atol=1e-6, rtol=0
        )


def test_the_input_is_averaged_down_to_the_finest_grid():
    module, descriptors = make(), torch.randn(1, 6, 3, 4)
    image = torch.randn(1, 3, 24, 32)
    pooled = F.avg_pool2d(image, 2)
    ours, theirs = (module(descriptors, x, "exemplar") for x in (image, pooled))
    for a, b in zip(ours, theirs, strict=True):
        torch.testing.assert_close(a, b)


def test_detail_is_where_the_input_is():
    torch.manual_seed(0)
    detail = Detail(1, 4, levels=3)
    x = torch.zeros(1, 1, 32, 32)
    x[..., 8:12, 20:24] = 1
    for level, values in enumerate(detail(x)):
        assert values.shape[-2:] == (8 << level, 8 << level)
        far = values[..., (8 << level) // 2 :, : (8 << level) // 4]
        assert far.std((-2, -1)).max() < 1e-5
        assert values.std() > 0.1


def test_descriptors_alike_make_features_alike_on_both_sides():
    """Untrained, the way up is the same for both sides: what is near in the coarse descriptors
    starts near in the finer features, more than what is not."""
    module = make(levels=1)
    descriptors = F.normalize(torch.randn(1, 6, 4, 4), dim=1)
    ours = module(descriptors, torch.randn(1, 5, 8, 8), "condition")[0].flatten(2)[0]
    theirs = module(descriptors, torch.randn(1, 3, 8, 8), "exemplar")[0].flatten(2)[0]
    cosines = ours.T @ theirs
    assert cosines.diagonal().mean() > cosines.mean() + 0.1
