"""Small PyTorch networks, written as people write them."""

from typing import Any

import torch
import torch.nn.functional as F
from torch import nn


class Cifar(nn.Module):
    """As in PyTorch's tutorial on CIFAR-10: pools into 16 x 5 x 5, flattened by `view`, or another way."""

    def __init__(self, flatten: Any = lambda x: x.view(-1, 16 * 5 * 5)) -> None:
        super().__init__()
        self.conv1, self.pool, self.conv2 = nn.Conv2d(3, 6, 5), nn.MaxPool2d(2, 2), nn.Conv2d(6, 16, 5)
        self.fc1, self.fc2, self.fc3 = nn.Linear(16 * 5 * 5, 120), nn.Linear(120, 84), nn.Linear(84, 10)
        self.flatten = flatten

    def forward(self, x: Any) -> Any:
        x = self.pool(F.relu(self.conv1(x)))
        x = self.flatten(self.pool(F.relu(self.conv2(x))))
        return self.fc3(F.relu(self.fc2(F.relu(self.fc1(x)))))


class Mnist(nn.Module):
    """As in PyTorch's example for MNIST, before and after it flattened by a function."""

    def __init__(self, old: bool) -> None:
        super().__init__()
        self.old = old
        self.conv1 = nn.Conv2d(1, 10, 5) if old else nn.Conv2d(1, 32, 3)
        self.conv2 = nn.Conv2d(10, 20, 5) if old else nn.Conv2d(32, 64, 3)
        self.drop = nn.Dropout2d() if old else nn.Dropout(0.25)
        self.fc1, self.fc2 = nn.Linear(320 if old else 9216, 50), nn.Linear(50, 10)

    def forward(self, x: Any) -> Any:
        if self.old:
            x = F.relu(F.max_pool2d(self.conv1(x), 2))
            x = F.relu(F.max_pool2d(self.drop(self.conv2(x)), 2)).view(-1, 320)
        else:
            x = F.max_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 2)
            x = torch.flatten(self.drop(x), 1)
        return self.fc2(F.dropout(F.relu(self.fc1(x)), training=self.training))


class Sized(nn.Module):
    """For images of one side; `view(x.size(0), -1)`."""

    def __init__(self, side: int, channels: int = 3, drop: Any = None) -> None:
        super().__init__()
        self.body = nn.Sequential(
            nn.Conv2d(channels, 8, 3), nn.ReLU(), nn.MaxPool2d(2), nn.Conv2d(8, 12, 3), nn.ReLU(), nn.MaxPool2d(2)
        )
        self.drop = drop or nn.Identity()
        self.fc = nn.Linear(12 * (((side - 2) // 2 - 2) // 2) ** 2, 4)

    def forward(self, x: Any) -> Any:
        return self.fc(self.drop(self.body(x).view(x.size(0), -1)))


class Residual(nn.Module):
    """Ends as the ResNets for CIFAR do: an average of 4 x 4, and a `view` that makes several images of a larger one."""

    def __init__(self) -> None:
        super().__init__()
        self.conv1, self.conv2, self.linear = nn.Conv2d(3, 8, 3, 2, 1), nn.Conv2d(8, 64, 3, 4, 1), nn.Linear(64, 10)

    def forward(self, x: Any) -> Any:
        x = F.avg_pool2d(F.relu(self.conv2(F.relu(self.conv1(x)))), 4)
        return self.linear(x.view(-1, 64))


class Gated(nn.Module):
    """Linear layers that weigh channels, before the one that reads positions."""

    def __init__(self) -> None:
        super().__init__()
        self.conv, self.down, self.up = nn.Conv2d(1, 16, 3, 2), nn.Linear(16, 4), nn.Linear(4, 16)
        self.head = nn.Linear(16 * 13 * 13, 5)

    def forward(self, x: Any) -> Any:
        x = self.conv(x)
        gate = torch.sigmoid(self.up(F.relu(self.down(x.mean((2, 3))))))
        return self.head((x * gate[:, :, None, None]).flatten(1))


class Pooled(nn.Module):
    """Takes any size."""

    def __init__(self, channels: int = 3, before: Any = None, taken: int | None = None) -> None:
        super().__init__()
        self.unused = nn.Conv2d(7, 2, 1)  # registered first, and never called
        self.conv = nn.Conv2d(taken or channels, 6, 3)
        self.before, self.fc = before or nn.Identity(), nn.Linear(6, 5)

    def forward(self, x: Any) -> Any:
        return self.fc(F.relu(self.conv(self.before(x))).mean((2, 3)))


class Squeezed(Pooled):
    """`squeeze()` after the pooling, which takes the axis of an image alone as well."""

    def forward(self, x: Any) -> Any:
        return self.fc(F.adaptive_avg_pool2d(F.relu(self.conv(x)), 1).squeeze())
