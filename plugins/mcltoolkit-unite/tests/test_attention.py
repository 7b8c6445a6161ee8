import pytest
import torch
import torch.nn.functional as F
from mcltoolkit_unite.attention import attend


def inputs(n=7, m=5, d=4, c=3, b=2):
    torch.manual_seed(0)
    shapes = ((b, d, n), (b, d, m), (b, m), (b, c, m))
    return [torch.randn(*shape, dtype=torch.float64, requires_grad=True) for shape in shapes]


@pytest.mark.parametrize("block", [1, 3, 100])
def test_values_and_gradients_are_those_of_attention_with_a_bias(block):
    q, k, bias, values = tensors = inputs()
    found = attend(*tensors, block)
    expected = F.scaled_dot_product_attention(
        q.mT, k.mT, values.mT, attn_mask=bias[:, None].expand(-1, 7, -1), scale=1.0
    ).mT
    torch.testing.assert_close(found, expected)
    goal = torch.randn_like(found)
    grads = [torch.autograd.grad((x.sin() * goal).sum(), tensors) for x in (found, expected)]
    torch.testing.assert_close(*grads, rtol=1e-8, atol=1e-12)


def test_gradients_equal_finite_differences():
    assert torch.autograd.gradcheck(lambda *x: attend(*x, 2), inputs(4, 3, 2, 2, 1), atol=1e-7)
