"""A PyTorch module of one's own, trained and looked into: python examples/pytorch_model.py [FOLDER]"""

import sys

import numpy as np
import torch
from shapes import CLASSES, shapes
from torch import nn

import convlens

torch.manual_seed(0)


class Shapes(nn.Module):
    """Three convolutions and a linear head."""

    def __init__(self) -> None:
        super().__init__()
        self.features = nn.Sequential(
            nn.Conv2d(3, 16, 5, padding=2),
            nn.BatchNorm2d(16),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(16, 32, 3, padding=1),
            nn.BatchNorm2d(32),
            nn.ReLU(),
            nn.MaxPool2d(2),
            nn.Conv2d(32, 48, 3, padding=1),
            nn.ReLU(),
        )
        self.head = nn.Linear(48, len(CLASSES))

    def forward(self, pictures: torch.Tensor) -> torch.Tensor:
        return self.head(self.features(pictures).mean((2, 3)))


def as_tensor(pictures: np.ndarray) -> torch.Tensor:
    """From uint8 (batch, height, width, 3) to float32 (batch, 3, height, width), 0-1."""
    return torch.from_numpy(pictures).permute(0, 3, 1, 2).float() / 255


model = Shapes().train()
seen, wanted = shapes(600, 64, seed=0)
unseen, right = shapes(200, 64, seed=1)
optimizer = torch.optim.Adam(model.parameters(), 0.005)
for _ in range(12):
    for chosen in torch.randperm(len(seen)).split(50):
        loss = nn.functional.cross_entropy(model(as_tensor(seen[chosen])), torch.from_numpy(wanted[chosen]))
        optimizer.zero_grad()
        loss.backward()
        optimizer.step()
model.eval()
with torch.no_grad():
    accuracy = (model(as_tensor(unseen)).argmax(1).numpy() == right).mean()
print(f"accuracy on pictures not seen before: {accuracy:.0%}")

network = convlens.load(model, preprocess="rescale", labels=CLASSES, input_shape=(64, 64, 3))
out = sys.argv[1] if len(sys.argv) > 1 else "convlens-pytorch-model"
print(convlens.report(network, list(unseen[:2]), out, overwrite=True))
