"""Networks whose trained weights others published, as their own code names the parts.

Each factory takes the number of classes, as `edge-ood export --model networks:NAME` calls it.
"""

import torch
from torch import Tensor, nn
from torch.nn.functional import avg_pool2d, pad, relu

GROWTH = 12
BOTTLENECK = 4  # channels of a 1x1 convolution, as a multiple of the growth


class _Block(nn.Module):
    """Two convolutions, and a shortcut that drops pixels and adds channels of zeros."""

    def __init__(self, channels_in: int, channels_out: int, stride: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(channels_in, channels_out, 3, stride, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(channels_out)
        self.conv2 = nn.Conv2d(channels_out, channels_out, 3, 1, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(channels_out)
        self.stride = stride
        self.missing = channels_out - channels_in

    def forward(self, images: Tensor) -> Tensor:
        changed = self.bn2(self.conv2(relu(self.bn1(self.conv1(images)))))
        shortcut = images[:, :, :: self.stride, :: self.stride]
        side = self.missing // 2
        return relu(changed + pad(shortcut, (0, 0, 0, 0, side, side)))


class _ResNet(nn.Module):
    """Three stages of n blocks for images of 32 pixels (He et al. 2016, section 4.2)."""

    def __init__(self, blocks: int, num_classes: int) -> None:
        super().__init__()
        self.conv1 = nn.Conv2d(3, 16, 3, 1, 1, bias=False)
        self.bn1 = nn.BatchNorm2d(16)
        self.layer1 = self._stage(16, 16, blocks, 1)
        self.layer2 = self._stage(16, 32, blocks, 2)
        self.layer3 = self._stage(32, 64, blocks, 2)
        self.linear = nn.Linear(64, num_classes)

    @staticmethod
    def _stage(channels_in: int, channels: int, blocks: int, stride: int) -> nn.Sequential:
        rest = [_Block(channels, channels, 1) for _ in range(blocks - 1)]
        return nn.Sequential(_Block(channels_in, channels, stride), *rest)

    def forward(self, images: Tensor) -> Tensor:
        maps = relu(self.bn1(self.conv1(images)))
        maps = self.layer3(self.layer2(self.layer1(maps)))
        return self.linear(maps.mean((2, 3)))


class _Dense(nn.Module):
    """Adds `GROWTH` channels to those that it was given."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, BOTTLENECK * GROWTH, 1, bias=False)
        self.bn2 = nn.BatchNorm2d(BOTTLENECK * GROWTH)
        self.conv2 = nn.Conv2d(BOTTLENECK * GROWTH, GROWTH, 3, padding=1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        narrow = self.conv1(relu(self.bn1(maps)))
        return torch.cat([maps, self.conv2(relu(self.bn2(narrow)))], 1)


class _Stack(nn.Module):
    """So many of them, one after the other."""

    def __init__(self, channels: int, layers: int) -> None:
        super().__init__()
        self.layer = nn.Sequential(*(_Dense(channels + i * GROWTH) for i in range(layers)))

    def forward(self, maps: Tensor) -> Tensor:
        return self.layer(maps)


class _Transition(nn.Module):
    """Halves channels and sides."""

    def __init__(self, channels: int) -> None:
        super().__init__()
        self.bn1 = nn.BatchNorm2d(channels)
        self.conv1 = nn.Conv2d(channels, channels // 2, 1, bias=False)

    def forward(self, maps: Tensor) -> Tensor:
        return avg_pool2d(self.conv1(relu(self.bn1(maps))), 2)


class _DenseNet(nn.Module):
    """DenseNet-BC of 100 layers for images of 32 pixels (Huang et al. 2017)."""

    def __init__(self, num_classes: int, layers: int = 16) -> None:
        super().__init__()
        channels = 2 * GROWTH
        self.conv1 = nn.Conv2d(3, channels, 3, padding=1, bias=False)
        self.block1 = _Stack(channels, layers)
        channels += layers * GROWTH
        self.trans1 = _Transition(channels)
        channels //= 2
        self.block2 = _Stack(channels, layers)
        channels += layers * GROWTH
        self.trans2 = _Transition(channels)
        channels //= 2
        self.block3 = _Stack(channels, layers)
        channels += layers * GROWTH
        self.bn1 = nn.BatchNorm2d(channels)
        self.fc = nn.Linear(channels, num_classes)

    def forward(self, images: Tensor) -> Tensor:
        maps = self.trans1(self.block1(self.conv1(images)))
        maps = self.block3(self.trans2(self.block2(maps)))
        return self.fc(relu(self.bn1(maps)).mean((2, 3)))


def resnet20(num_classes: int) -> nn.Module:
    """ResNet-20 for CIFAR-10; names as in akamaster/pytorch_resnet_cifar10."""
    return _ResNet(3, num_classes)


def resnet56(num_classes: int) -> nn.Module:
    """ResNet-56 for CIFAR-10; names likewise."""
    return _ResNet(9, num_classes)


def densenet_bc_100_12(num_classes: int) -> nn.Module:
    """DenseNet-BC-100-12; names as in the code of the ODIN paper's authors."""
    return _DenseNet(num_classes)


def efficientnet_lite0(num_classes: int) -> nn.Module:
    """EfficientNet-Lite0, from the package `efficientnet-lite-pytorch`."""
    from efficientnet_lite_pytorch import EfficientNet  # optional

    return EfficientNet.from_name("efficientnet-lite0", num_classes=num_classes)
