"""Random views: their shapes, what they hang on, and what mixing does to targets."""

import dataclasses

import numpy as np
import pytest
import torch
from hypothesis import given, settings
from hypothesis import strategies as st

from mobilens.errors import SpecError
from mobilens.training.augment import (
    NUM_DRAWS,
    Augmentation,
    augment_batch,
    epoch_draws,
    mix_batch,
)
from mobilens.training.augment import (
    random_crop as draw_crop,
)

PLAIN = Augmentation(policy="none")


def random_crop(image, size, draws, how):
    """The pixels of a random crop."""
    return draw_crop(tuple(image.shape[1:]), size, draws, how).pixels(image)


SIDES = st.integers(1, 90)
UNIT = st.floats(0, 1, exclude_max=True, width=32)


def noise(height, width, seed=0):
    """An image as the cache gives it: a channels_last view of pixels in rows."""
    rng = np.random.default_rng(seed)
    image = rng.integers(0, 256, (height, width, 3), dtype=np.uint8)
    return torch.from_numpy(image).permute(2, 0, 1)


# Draws


def test_an_epoch_can_be_drawn_again():
    assert np.array_equal(epoch_draws(20, seed=3, epoch=7), epoch_draws(20, seed=3, epoch=7))


def test_draws_hang_on_seed_and_epoch():
    draws = epoch_draws(20, seed=3, epoch=7)
    assert not np.array_equal(draws, epoch_draws(20, seed=4, epoch=7))
    assert not np.array_equal(draws, epoch_draws(20, seed=3, epoch=8))


def test_draws_are_shares_for_every_image():
    draws = epoch_draws(1000, seed=0, epoch=0)
    assert draws.shape == (1000, NUM_DRAWS)
    assert draws.dtype == np.float32
    assert draws.min() >= 0
    assert draws.max() < 1
    assert np.allclose(draws.mean(0), 0.5, atol=0.05)


def test_views_do_not_hang_on_how_a_batch_is_split():
    how = Augmentation(random_erasing=0.5)
    draws = epoch_draws(24, seed=0, epoch=0)
    crops = torch.stack(
        [random_crop(noise(50, 70, seed=i), (32, 32), draws[i], how) for i in range(24)]
    )
    whole = augment_batch(crops.clone(), draws, how)
    parts = [
        augment_batch(crops[i : i + 5].clone(), draws[i : i + 5], how) for i in range(0, 24, 5)
    ]
    assert torch.equal(whole, torch.cat(parts))


# Crops


@settings(deadline=None)
@given(SIDES, SIDES, st.tuples(SIDES, SIDES), st.lists(UNIT, min_size=12, max_size=12))
def test_a_crop_has_the_size_asked_for_whatever_the_image(height, width, size, draws):
    crop = random_crop(noise(height, width), size, np.array(draws, np.float32), Augmentation())
    assert crop.shape == (3, *size)
    assert crop.dtype == torch.uint8


@settings(deadline=None)
@given(st.lists(UNIT, min_size=12, max_size=12))
def test_a_crop_is_of_the_image_alone(draws):
    crop = random_crop(
        torch.full((3, 40, 60), 77, dtype=torch.uint8), (16, 24), np.array(draws, np.float32), PLAIN
    )
    assert crop.unique().tolist() == [77]


def test_the_whole_image_is_the_largest_crop():
    image = noise(48, 48)
    how = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), flip=False, policy="none")
    assert torch.equal(random_crop(image, (48, 48), epoch_draws(1, 0, 0)[0], how), image)


def test_half_of_the_crops_are_mirrored():
    image = noise(32, 32)
    how = Augmentation(crop_scale=(1.0, 1.0), crop_ratio=(1.0, 1.0), policy="none")
    mirrored = [
        torch.equal(random_crop(image, (32, 32), draws, how), image.flip(2))
        for draws in epoch_draws(400, 0, 0)
    ]
    assert sum(mirrored) == pytest.approx(200, abs=40)


def test_crops_cover_the_share_of_the_area_that_was_asked_for():
    # Red grows to the right, green to the bottom: a crop's spread tells its sides.
    y, x = np.mgrid[:200, :200]
    image = torch.from_numpy(np.stack([x, y, x * 0], 2).astype(np.uint8)).permute(2, 0, 1)
    how = Augmentation(crop_scale=(0.2, 0.5), crop_ratio=(0.5, 2.0), flip=False, policy="none")
    areas, ratios = [], []
    for draws in epoch_draws(300, 0, 0):
        crop = random_crop(image, (64, 64), draws, how).int()
        width = (crop[0].amax() - crop[0].amin() + 1).item()
        height = (crop[1].amax() - crop[1].amin() + 1).item()
        areas.append(width * height / 200**2)
        ratios.append(width / height)
    assert 0.17 < min(areas) < 0.23
    assert 0.46 < max(areas) < 0.53
    assert 0.45 < min(ratios) < 0.6
    assert 1.7 < max(ratios) < 2.2


# Random erasing


def test_random_erasing_takes_its_share_of_the_images():
    batch = torch.full((600, 3, 40, 40), 255, dtype=torch.uint8)
    draws = epoch_draws(600, 0, 0)
    erased = augment_batch(batch.clone(), draws, dataclasses.replace(PLAIN, random_erasing=0.25))
    areas = (erased != 255).all(1).float().mean((1, 2))
    assert (areas > 0).sum() == pytest.approx(150, abs=35)
    assert areas[areas > 0].min() >= 0.01
    assert areas.max() <= 0.34
    assert erased[erased != 255].unique().tolist() == [128]


def test_without_a_policy_images_stay():
    batch = torch.stack([noise(20, 20, seed=i) for i in range(8)])
    assert torch.equal(augment_batch(batch.clone(), epoch_draws(8, 0, 0), PLAIN), batch)


# Mixing


def mixed(how, *, seed, count=6):
    """Images of one value each, one-hot targets, mixed."""
    values = torch.arange(count, dtype=torch.float32)
    images = values.view(-1, 1, 1, 1).expand(-1, 3, 20, 30).clone()
    targets = torch.eye(count)
    others = images.flip(0), targets.flip(0)
    return images, *mix_batch((images.clone(), targets), others, epoch_draws(1, seed, 0)[0], how)


@pytest.mark.parametrize("seed", range(8))
@pytest.mark.parametrize(
    "how",
    [
        dataclasses.replace(PLAIN, mixup=0.4),
        dataclasses.replace(PLAIN, cutmix=1.0),
        dataclasses.replace(PLAIN, mixup=0.4, cutmix=1.0),
    ],
    ids=["mixup", "cutmix", "both"],
)
def test_mixed_targets_are_the_share_of_pixels(how, seed):
    images, result, targets = mixed(how, seed=seed)
    assert torch.allclose(targets.sum(1), torch.ones(6))
    for index in range(6):
        own, other = float(index), float(5 - index)
        share = (result[index].mean().item() - other) / (own - other)
        assert targets[index, index].item() == pytest.approx(share, abs=1e-5)
        assert targets[index, 5 - index].item() == pytest.approx(1 - share, abs=1e-5)
    assert images.shape == result.shape


def test_cutmix_pastes_one_rectangle():
    _, result, targets = mixed(dataclasses.replace(PLAIN, cutmix=1.0), seed=1)
    pasted = result[0, 0] == 5
    rows, columns = pasted.any(1).sum(), pasted.any(0).sum()
    assert rows * columns == pasted.sum()
    assert 1 - targets[0, 0].item() == pytest.approx(pasted.float().mean().item())


def test_batches_take_mixup_and_cutmix_by_turns_where_both_are_asked_for():
    how = dataclasses.replace(PLAIN, mixup=0.4, cutmix=1.0)
    blended = [
        bool((mixed(how, seed=seed)[1] % 1 > 0).any())  # a rectangle keeps whole values
        for seed in range(60)
    ]
    assert 15 < sum(blended) < 45


def test_only_what_is_asked_for_mixes():
    assert not PLAIN.mixes
    assert dataclasses.replace(PLAIN, mixup=0.4).mixes
    assert dataclasses.replace(PLAIN, cutmix=1.0).mixes


@pytest.mark.parametrize(
    ("field", "value", "message"),
    [
        ("crop_scale", (0.0, 1.0), "crop_scale is 0.0, 1.0"),
        ("crop_scale", (0.9, 0.5), "crop_scale is 0.9, 0.5"),
        ("crop_ratio", (2.0, 1.0), "crop_ratio is 2.0, 1.0"),
        ("random_erasing", 1.5, "random_erasing is 1.5"),
        ("mixup", -1.0, "mixup is -1.0"),
        ("cutmix", -0.1, "cutmix is -0.1"),
    ],
)
def test_numbers_that_make_no_view_are_refused(field, value, message):
    with pytest.raises(SpecError, match=message):
        Augmentation(**{field: value})
