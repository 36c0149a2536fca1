import torch

from looksam.vector import add_scaled_, dot, norm, norms, ratio, reject


def vectors(dtype: torch.dtype = torch.float64) -> tuple[list[torch.Tensor], list[torch.Tensor]]:
    torch.manual_seed(0)
    shapes = [(7, 5), (5,), (), (2, 3, 3, 3)]
    return [torch.randn(s, dtype=dtype) for s in shapes], [torch.randn(s, dtype=dtype) for s in shapes]


def flat(a: list[torch.Tensor]) -> torch.Tensor:
    return torch.cat([x.flatten() for x in a])


def test_norm_and_dot_are_those_of_the_flat_vector():
    a, b = vectors()
    torch.testing.assert_close(norm(a), flat(a).norm(), rtol=1e-14, atol=0)
    torch.testing.assert_close(dot(a, b), torch.dot(flat(a), flat(b)), rtol=1e-14, atol=1e-14)


def test_norms_are_one_for_each_tensor():
    a, _ = vectors()
    torch.testing.assert_close(norms(a), torch.stack([x.norm() for x in a]), rtol=1e-14, atol=0)


def test_tensors_of_different_dtypes_make_one_vector():
    a = [torch.ones(9, dtype=torch.float64), torch.ones(16, dtype=torch.float32)]
    assert norm(a) == 5
    assert dot(a, a) == 25


def test_sums_over_bfloat16_keep_float32_precision():
    a = [torch.ones(257, dtype=torch.bfloat16), torch.ones(1000, dtype=torch.bfloat16)]
    # 257 is the first integer that bfloat16 cannot hold
    assert dot(a, a) == 1257
    assert norm(a).dtype == torch.float32


def test_dot_counts_elements_by_place_whatever_their_order_in_memory():
    a, b = torch.randn(2, 3, 4, 4, dtype=torch.float64), torch.randn(2, 3, 4, 4, dtype=torch.float64)
    by_channel = a.to(memory_format=torch.channels_last)
    torch.testing.assert_close(dot([by_channel], [b]), dot([a], [b]), rtol=1e-14, atol=1e-14)


def test_dot_does_not_depend_on_where_in_memory_a_tensor_lies():
    torch.manual_seed(0)
    bucket = torch.randn(1002)
    view = bucket[1:]
    assert torch.equal(dot([view], [view.clone()]), dot([view.clone()], [view.clone()]))


def test_reject_leaves_what_is_orthogonal():
    a, b = vectors()
    # the rounding of one float64 product a coordinate, relative to the lengths
    assert abs(dot(reject(a, b), b)) < 1e-14 * norm(a) * norm(b)


def test_reject_and_projection_add_up():
    a, b = vectors()
    whole = flat(reject(a, b)) + torch.dot(flat(a), flat(b)) / flat(b).norm() ** 2 * flat(b)
    torch.testing.assert_close(whole, flat(a), rtol=1e-13, atol=1e-14)


def test_rejecting_a_vector_from_itself_leaves_exactly_zero():
    a, _ = vectors(torch.float32)
    assert all((x == 0).all() for x in reject([x.clone() for x in a], a))


def test_rejecting_zero_leaves_everything():
    a, _ = vectors()
    assert torch.equal(flat(reject(a, [torch.zeros_like(x) for x in a])), flat(a))


def test_ratio_to_zero_is_zero():
    numerator = torch.tensor([0.0, 1.0, 1.0, torch.inf])
    denominator = torch.tensor([0.0, 0.0, 1e-40, 1.0])
    assert ratio(numerator, denominator).tolist() == [0, 0, 0, 0]
    assert ratio(torch.tensor(3.0), torch.tensor(2.0)) == 1.5


def test_add_scaled_changes_the_tensors_it_was_given():
    a, b = vectors()
    expected = flat(a) + 0.5 * flat(b)
    addresses = [x.data_ptr() for x in a]
    add_scaled_(a, b, torch.tensor(0.5, dtype=torch.float64))
    torch.testing.assert_close(flat(a), expected, rtol=1e-14, atol=1e-14)
    assert [x.data_ptr() for x in a] == addresses
