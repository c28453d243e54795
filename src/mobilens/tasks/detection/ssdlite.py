"""SSDLite as a module, its default boxes, and its loss.

Anchors, coding and loss are SSD's (arXiv 1512.02325) as torchvision and TensorFlow have them.
"""

from __future__ import annotations

import math

import torch
import torch.nn.functional as F
from torch import Tensor, nn

from mobilens.nn.backbone import Backbone, require_buildable
from mobilens.nn.init import init_weights
from mobilens.nn.layers import ConvNormAct
from mobilens.spec.heads import SsdLiteHead
from mobilens.spec.model import ModelSpec
from mobilens.tasks.detection.iou import overlap

SCALES = (0.2, 0.95)
# Steps that offsets of the middle and of the sides are counted in.
CENTRE_STEP, SIZE_STEP = 0.1, 0.2
# Sides grow by no more than this in one step, so that a wild guess stays a number.
MAX_GROWTH = math.log(1000 / 16)
MATCHING_IOU = 0.5
# Boxes without a thing that count, for each with one: the worst ones.
NEGATIVES = 3


class SsdLiteHeadNet(nn.Module):
    """Features to logits of classes, the background first, and offsets of every default box."""

    def __init__(self, model: ModelSpec, head: SsdLiteHead, channels: tuple[int, ...]) -> None:
        super().__init__()
        first, last = channels

        def layer(inputs: int, outputs: int, kernel: int = 1, stride: int = 1) -> ConvNormAct:
            return ConvNormAct(
                inputs,
                outputs,
                kernel,
                stride,
                act=head.act,
                padding=model.padding,
                bn_eps=model.bn_eps,
                groups=inputs if kernel > 1 else 1,
            )

        self.conv: nn.Module = nn.Identity()
        if head.conv_channels:
            self.conv = ConvNormAct(
                last,
                head.conv_channels,
                act=head.conv_act,
                padding="symmetric",
                bn_eps=model.bn_eps,
            )
            last = head.conv_channels
        self.extras = nn.ModuleList()
        widths = [first, last]
        for width in head.extras:
            half = width // 2
            self.extras.append(
                nn.Sequential(layer(widths[-1], half), layer(half, half, 3, 2), layer(half, width))
            )
            widths.append(width)
        self.classes, self.offsets = nn.ModuleList(), nn.ModuleList()
        for width, boxes in zip(widths, head.boxes, strict=True):
            for part, outputs in ((self.classes, head.num_classes + 1), (self.offsets, 4)):
                part.append(
                    nn.Sequential(layer(width, width, 3), nn.Conv2d(width, boxes * outputs, 1))
                )
        self._classes = head.num_classes + 1

    def forward(self, features: tuple[Tensor, ...]) -> tuple[Tensor, Tensor]:
        """Features to logits, (N, A, classes + 1), and offsets, (N, A, 4)."""
        levels = [features[0], self.conv(features[1])]
        for extra in self.extras:
            levels.append(extra(levels[-1]))
        logits = [
            _rows(part(x), self._classes) for part, x in zip(self.classes, levels, strict=True)
        ]
        offsets = [_rows(part(x), 4) for part, x in zip(self.offsets, levels, strict=True)]
        return torch.cat(logits, 1), torch.cat(offsets, 1)


def _rows(x: Tensor, width: int) -> Tensor:
    """(N, boxes * width, H, W) to (N, H * W * boxes, width)."""
    return x.permute(0, 2, 3, 1).reshape(len(x), -1, width)


class SsdLiteDetector(nn.Module):
    """Backbone and SSDLite head."""

    def __init__(self, model: ModelSpec) -> None:
        super().__init__()
        require_buildable(model)
        head = model.head
        assert isinstance(head, SsdLiteHead)
        self.spec = model
        self.backbone = Backbone(model, model.taps)
        self.head = SsdLiteHeadNet(model, head, self.backbone.channels)
        self.anchors: Tensor
        self.centre_steps: Tensor
        self.centres: Tensor
        self.half_sides: Tensor
        self.to_centre: Tensor
        self.to_sides: Tensor
        # All of these follow from the description, and so are no part of a checkpoint.
        anchors = default_boxes(model)
        middle, sides = (anchors[:, :2] + anchors[:, 2:]) / 2, anchors[:, 2:] - anchors[:, :2]
        for name, values in {
            "anchors": anchors,
            "centre_steps": (CENTRE_STEP * sides).repeat(1, 2),
            "centres": middle.repeat(1, 2),
            "half_sides": (sides / 2).repeat(1, 2),
            # Columns are chosen by products with rows: every runtime has these.
            "to_centre": torch.tensor([[1, 0, 0, 0], [0, 1, 0, 0]] * 2).float(),
            "to_sides": torch.tensor(
                [[0, 0, -1, 0], [0, 0, 0, -1], [0, 0, 1, 0], [0, 0, 0, 1]]
            ).float(),
        }.items():
            self.register_buffer(name, values, persistent=False)
        init_weights(self)
        for parts in (self.head.classes, self.head.offsets):
            for part in parts:
                assert isinstance(part, nn.Sequential)
                last = part[1]
                assert isinstance(last, nn.Conv2d)
                nn.init.normal_(last.weight, std=0.03)

    def forward(self, x: Tensor) -> dict[str, Tensor]:
        """(N, 3, H, W), normalised, to what the loss and the answers need, by name.

        Returns:
            ``"logits"`` (N, A, classes + 1), the background first, ``"offsets"`` (N, A, 4),
            ``"boxes"`` (N, A, 4), xyxy in pixels of the input, and the ``"anchors"`` (A, 4).
        """
        logits, offsets = self.head(self.backbone(x))
        middle = F.linear(offsets.float(), self.to_centre) * self.centre_steps + self.centres
        # The least of two, as something that every runtime has.
        growth = MAX_GROWTH - F.relu(MAX_GROWTH - offsets.float() * SIZE_STEP)
        sides = F.linear(growth.exp(), self.to_sides) * self.half_sides
        return {
            "logits": logits,
            "offsets": offsets,
            "boxes": middle + sides,
            "anchors": self.anchors,
        }


def default_boxes(model: ModelSpec) -> Tensor:
    """Every default box of a model, (A, 4), xyxy, pixels, in the order of its outputs."""
    head = model.head
    assert isinstance(head, SsdLiteHead)
    height, width = model.resolution
    sizes = [_halved(model.resolution, 16), _halved(model.resolution, 32)]
    for _ in head.extras:
        sizes.append((-(-sizes[-1][0] // 2), -(-sizes[-1][1] // 2)))
    low, high = SCALES
    steps = len(sizes) - 1
    scales = [low + (high - low) * level / steps for level in range(len(sizes))] + [1.0]
    boxes = []
    for level, (rows, columns) in enumerate(sizes):
        shapes = _shapes(scales[level], scales[level + 1], head.boxes[level])
        y, x = torch.meshgrid(
            (torch.arange(rows) + 0.5) / rows,
            (torch.arange(columns) + 0.5) / columns,
            indexing="ij",
        )
        middle = torch.stack([x, y], 2).view(-1, 1, 2)
        boxes.append(torch.cat([middle - shapes / 2, middle + shapes / 2], 2).view(-1, 4))
    return torch.cat(boxes) * torch.tensor([width, height, width, height]).float()


def _halved(size: tuple[int, int], stride: int) -> tuple[int, int]:
    return -(-size[0] // stride), -(-size[1] // stride)


def _shapes(scale: float, following: float, count: int) -> Tensor:
    """(count, 2): width and height of a cell's boxes, as shares of the image."""
    if count == 3:
        shapes = [(0.1, 0.1), (scale * 2**0.5, scale / 2**0.5), (scale / 2**0.5, scale * 2**0.5)]
        return torch.tensor(shapes).clamp(0, 1)
    between = (scale * following) ** 0.5
    shapes = [(scale, scale), (between, between)]
    for ratio in (2.0, 3.0):
        root = ratio**0.5
        shapes += [(scale * root, scale / root), (scale / root, scale * root)]
    return torch.tensor(shapes).clamp(0, 1)


def ssdlite_loss(raw: dict[str, Tensor], targets: dict[str, Tensor]) -> Tensor:
    """Loss of each image, (N,); their mean is the loss of the batch.

    Boxes that overlap a thing by half, and the best one of each thing, learn its class and offsets;
    of the others the worst three for each of these learn that there is nothing.

    Args:
        raw: What the net gives.
        targets: What ``Detection.targets`` gives.
    """
    logits, offsets, anchors = raw["logits"].float(), raw["offsets"].float(), raw["anchors"]
    with torch.no_grad():
        owner, ignored = _matched(anchors, targets)
    positive = owner >= 0
    index = owner.clamp(min=0)
    label = targets["classes"].gather(1, index) + 1
    classes = F.cross_entropy(
        logits.transpose(1, 2), torch.where(positive, label, 0), reduction="none"
    )
    things = targets["boxes"].gather(1, index[..., None].expand(-1, -1, 4))
    wanted = _encoded(things, anchors)
    places = F.smooth_l1_loss(offsets, wanted, reduction="none").sum(2) * positive
    count = positive.sum(1)
    rest = classes.detach().masked_fill(positive | ignored, -1.0)
    rank = rest.argsort(1, descending=True).argsort(1)
    negative = (rank < NEGATIVES * count.clamp(min=1)[:, None]) & ~positive & ~ignored
    total = count.sum().clamp(min=1) / len(logits)
    return (places.sum(1) + (classes * (positive | negative)).sum(1)) / total


def _matched(anchors: Tensor, targets: dict[str, Tensor]) -> tuple[Tensor, Tensor]:
    """The thing of each box, (N, A), -1 for none; and boxes neither right nor wrong, (N, A)."""
    fits, _ = overlap(targets["boxes"][:, :, None], anchors[None, None])
    crowd = (fits * targets["ignored"][..., None]).amax(1) >= MATCHING_IOU
    fits = fits * targets["valid"][..., None]
    best, owner = fits.max(1)
    owner = torch.where(best >= MATCHING_IOU, owner, -1)
    # Each thing has its best box, whatever that overlaps.
    favourite = fits.argmax(2)
    for image, thing in torch.nonzero(targets["valid"]).tolist():
        owner[image, favourite[image, thing]] = thing
    return owner, crowd & (owner < 0)


def _encoded(things: Tensor, anchors: Tensor) -> Tensor:
    """Offsets that lead from default boxes to things, (N, A, 4)."""
    sides = anchors[:, 2:] - anchors[:, :2]
    middle = (anchors[:, :2] + anchors[:, 2:]) / 2
    own = (things[..., 2:] - things[..., :2]).clamp(min=1e-3)
    moved = ((things[..., :2] + things[..., 2:]) / 2 - middle) / sides / CENTRE_STEP
    return torch.cat([moved, torch.log(own / sides) / SIZE_STEP], 2)
