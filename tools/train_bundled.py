"""Train the small cats-and-dogs network that ships with convlens.

The network is the one of the seed: four convolutions of 3x3 with ReLU (32, 64, 128, 128 filters), each
followed by a 2x2 max pooling, then a small dense head with one sigmoid unit. It is trained with a batch
normalization between convolution and ReLU, which is folded into the convolution for the shipped file: the
result computes the same function with plain convolutions.

    python tools/train_bundled.py DATA --out FILE            # train on train, choose on validation
    python tools/train_bundled.py DATA --test FILE           # the accuracy of a file on test, once

DATA holds train/, validation/ and test/, each with cats/ and dogs/. Needs torch and a Keras backend.
"""

import argparse
import copy
import json
import math
import time
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

SIZE = 150
STORED = 176  # photos are kept a little larger, so that a zoomed crop stays sharp
FILTERS = (32, 64, 128, 128)
HIDDEN = 64
CLASSES = ("cats", "dogs")


def read_split(folder: Path, size: int) -> tuple[torch.Tensor, torch.Tensor]:
    """Photos of one split: uint8 (n, 3, size, size), and labels float32 (n, 1), 1 for a dog."""
    images, labels = [], []
    for label, name in enumerate(CLASSES):
        for path in sorted((folder / name).glob("*.jpg")):
            with Image.open(path) as photo:
                resized = photo.convert("RGB").resize((size, size), Image.Resampling.BILINEAR)
            images.append(np.asarray(resized).transpose(2, 0, 1))
            labels.append(label)
    return torch.from_numpy(np.stack(images)), torch.tensor(labels, dtype=torch.float32)[:, None]


def build() -> nn.Sequential:
    layers: list[nn.Module] = []
    channels = 3
    for filters in FILTERS:
        layers += [nn.Conv2d(channels, filters, 3, bias=False), nn.BatchNorm2d(filters)]
        layers += [nn.ReLU(inplace=True), nn.MaxPool2d(2)]
        channels = filters
    layers += [nn.Flatten(), nn.Dropout(0.5), nn.Linear(7 * 7 * channels, HIDDEN, bias=False)]
    layers += [nn.BatchNorm1d(HIDDEN), nn.ReLU(inplace=True), nn.Dropout(0.4), nn.Linear(HIDDEN, 1)]
    return nn.Sequential(*layers).to(memory_format=torch.channels_last)


def augment(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random flip, rotation, zoom, stretch, shift, light, colour and a hidden square; uint8 -> [0, 1]."""
    n = len(batch)

    def uniform(low: float, high: float, *shape: int) -> torch.Tensor:
        return torch.rand((n, *shape), generator=rng) * (high - low) + low

    angle = uniform(-20, 20) * math.pi / 180
    zoom, stretch = torch.exp(uniform(-0.45, 0.12)), torch.exp(uniform(-0.15, 0.15))
    flip = torch.where(uniform(0, 1) < 0.5, -1.0, 1.0)
    room = (1 - zoom).clamp(min=0) + 0.08
    rows = [
        torch.stack([zoom * stretch * angle.cos() * flip, -zoom * angle.sin(), uniform(-1, 1) * room], 1),
        torch.stack([zoom * stretch * angle.sin() * flip, zoom * angle.cos(), uniform(-1, 1) * room], 1),
    ]
    grid = functional.affine_grid(torch.stack(rows, 1), [n, 3, SIZE, SIZE], align_corners=False)
    images = functional.grid_sample(batch.float() / 255, grid, padding_mode="reflection", align_corners=False)
    mean = images.mean((1, 2, 3), keepdim=True)
    images = (images - mean) * uniform(0.7, 1.3, 1, 1, 1) + mean * uniform(0.7, 1.3, 1, 1, 1)
    grey = images.mean(1, keepdim=True)
    images = grey + (images - grey) * uniform(0.3, 1.5, 1, 1, 1)
    images = images * uniform(0.9, 1.1, 3, 1, 1)
    for image in images[uniform(0, 1) < 0.5]:
        top, left = torch.randint(0, SIZE - 40, (2,), generator=rng).tolist()
        image[:, top : top + 50, left : left + 50] = 0.5
    return images.clamp(0, 1).contiguous(memory_format=torch.channels_last)


@torch.no_grad()
def accuracy(model: nn.Module, images: torch.Tensor, labels: torch.Tensor) -> tuple[float, float]:
    """Accuracy and log loss on whole photos resized to 150x150."""
    model.eval()
    logits = torch.cat([model(batch.float() / 255) for batch in images.split(100)])
    loss = functional.binary_cross_entropy_with_logits(logits, labels).item()
    return ((logits > 0) == (labels > 0.5)).float().mean().item(), loss


@torch.no_grad()
def track(average: nn.Module, model: nn.Module, decay: float) -> None:
    """Exponential moving average of weights and of batch statistics."""
    for kept, new in zip(average.state_dict().values(), model.state_dict().values(), strict=True):
        if kept.is_floating_point():
            kept.lerp_(new, 1 - decay)
        else:
            kept.copy_(new)


def train(images, labels, check, epochs: int, batch: int, rate: float, seed: int) -> nn.Module:
    torch.manual_seed(seed)
    rng = torch.Generator().manual_seed(seed)
    model = build()
    average = copy.deepcopy(model)
    steps = epochs * (len(images) // batch)
    optimizer = torch.optim.AdamW(model.parameters(), rate, weight_decay=0.02)
    schedule = torch.optim.lr_scheduler.OneCycleLR(optimizer, rate, total_steps=steps, pct_start=0.1)
    step, started = 0, time.time()
    for epoch in range(1, epochs + 1):
        model.train()
        for chosen in torch.randperm(len(images), generator=rng).split(batch):
            if len(chosen) < batch:
                continue
            inputs, targets = augment(images[chosen], rng), labels[chosen] * 0.95 + 0.025
            if step % 2:  # mixup on every second batch
                share = float(np.random.default_rng(seed + step).beta(0.3, 0.3))
                inputs = share * inputs + (1 - share) * inputs.flip(0)
                targets = share * targets + (1 - share) * targets.flip(0)
            with torch.autocast("cpu", torch.bfloat16):
                logits = model(inputs)
            loss = functional.binary_cross_entropy_with_logits(logits.float(), targets)
            optimizer.zero_grad()
            loss.backward()
            optimizer.step()
            schedule.step()
            step += 1
            track(average, model, min(0.998, step / (step + 10)))
        if epoch % 4 == 0 or epoch == epochs:
            report = " ".join(f"{name} {a:.4f} (loss {b:.4f})" for name, (a, b) in check(average))
            print(f"epoch {epoch}/{epochs} {time.time() - started:.0f} s {report}", flush=True)
    return average.eval()


def folded(linear: nn.Module, norm: nn.Module) -> list[np.ndarray]:
    """The kernel and bias of a convolution or dense layer with its batch normalization folded in."""
    scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
    kernel = linear.weight * scale.reshape(-1, *[1] * (linear.weight.ndim - 1))
    order = (2, 3, 1, 0) if kernel.ndim == 4 else (1, 0)
    return [kernel.permute(order).detach().numpy(), (norm.bias - norm.running_mean * scale).detach().numpy()]


def export(model: nn.Sequential, path: Path) -> None:
    """The same function as a Keras file, checked against the trained network on random photos."""
    import keras

    layers: list = [keras.layers.Input((SIZE, SIZE, 3), name="conv2d_5_input")]
    for number, filters in enumerate(FILTERS, 5):
        layers.append(keras.layers.Conv2D(filters, 3, activation="relu", name=f"conv2d_{number}"))
        layers.append(keras.layers.MaxPooling2D(2, name=f"max_pooling2d_{number}"))
    layers += [
        keras.layers.Flatten(name="flatten_2"),
        keras.layers.Dropout(0.5, name="dropout_1"),
        keras.layers.Dense(HIDDEN, activation="relu", name="dense_3"),
        keras.layers.Dense(1, activation="sigmoid", name="dense_4"),
    ]
    network = keras.Sequential(layers, name="cats_and_dogs_small")
    modules = list(model)
    for number in range(len(FILTERS)):
        network.get_layer(f"conv2d_{number + 5}").set_weights(folded(modules[4 * number], modules[4 * number + 1]))
    kernel, bias = folded(modules[18], modules[19])
    # PyTorch flattens channel by channel, Keras position by position
    kernel = kernel.reshape(FILTERS[-1], 7, 7, HIDDEN).transpose(1, 2, 0, 3).reshape(-1, HIDDEN)
    network.get_layer("dense_3").set_weights([kernel, bias])
    last = modules[22]
    network.get_layer("dense_4").set_weights([last.weight.detach().numpy().T, last.bias.detach().numpy()])
    photos = np.random.default_rng(0).random((4, SIZE, SIZE, 3), dtype=np.float32)
    with torch.no_grad():
        expected = torch.sigmoid(model(torch.from_numpy(photos).permute(0, 3, 1, 2))).numpy()
    np.testing.assert_allclose(keras.ops.convert_to_numpy(network(photos)), expected, atol=1e-4)
    network.save(path)
    print(f"{path}: {path.stat().st_size / 1e6:.2f} MB, {network.count_params():,} parameters")


def test(path: Path, data: Path) -> None:
    """Prints the accuracy of a Keras file on the test photos, read as convlens reads them."""
    import convlens
    from convlens.network.predicting import scores
    from convlens.network.samples import read_samples

    network = convlens.load(path, preprocess="rescale")
    right = []
    for label, name in enumerate(CLASSES):
        arrays = read_samples(network, data / "test" / name).arrays
        right += [int(row.argmax() == label) for row in scores(network, arrays).shown]
    print(json.dumps({"photos": len(right), "accuracy": sum(right) / len(right)}))


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("--epochs", type=int, default=100)
    parser.add_argument("--batch", type=int, default=64)
    parser.add_argument("--rate", type=float, default=2e-3)
    parser.add_argument("--seed", type=int, default=0)
    parser.add_argument("--out", type=Path, help="write the Keras file here")
    parser.add_argument("--test", type=Path, help="train nothing, report on a Keras file")
    options = parser.parse_args()
    if options.test:
        return test(options.test, options.data)
    held_out = read_split(options.data / "validation", SIZE)

    def check(model: nn.Module) -> list[tuple[str, tuple[float, float]]]:
        return [("validation", accuracy(model, *held_out))]

    images, labels = read_split(options.data / "train", STORED)
    model = train(images, labels, check, options.epochs, options.batch, options.rate, options.seed)
    if options.out:
        export(model, options.out)


if __name__ == "__main__":
    main()
