"""Train small networks whose range of pixels is known, to try the guess of an unknown preprocessing on.

    python tools/train_ranges.py DATA OUT --set tests        # the 40 that the tests hold the guess to
    python tools/train_ranges.py DATA OUT --set fit --count 80   # those that its weights are fitted to
    python tools/train_ranges.py DATA OUT --set others       # other architectures, that nothing is fitted to
    python tools/train_ranges.py DATA OUT --set strange      # ranges that the guess does not know

DATA holds train/ and validation/, each with cats/ and dogs/. Each network is written to OUT as NAME.npz: its weights
(float16), its description (`tests/ranges.py`) and its accuracy on the photos of validation. A network that has
learned nothing (accuracy below 0.62 of two classes, 0.3 of ten) is not written. Files that are there are kept.

The classes: "kinds" are cat and dog, for ten classes each upright, on either side, upside down and from near;
"looks" are ten clusters of the photos by colours and edges (two: the upper and the lower five). Needs torch and SciPy.
"""

import argparse
import json
import random
import sys
import time
from dataclasses import asdict, replace
from functools import cache
from pathlib import Path

import numpy as np
import torch
from PIL import Image
from torch import nn
from torch.nn import functional

sys.path.insert(0, str(Path(__file__).parents[1]))
from tests.ranges import Small

MODES = ("none", "rescale", "tf", "caffe", "torch")
STORED = 64
MEAN = torch.tensor([0.485, 0.456, 0.406]).reshape(1, 3, 1, 1)
DEVIATION = torch.tensor([0.229, 0.224, 0.225]).reshape(1, 3, 1, 1)
BLUE_FIRST = torch.tensor([103.939, 116.779, 123.68]).reshape(1, 3, 1, 1)
LUMA = torch.tensor([0.299, 0.587, 0.114]).reshape(1, 3, 1, 1)


def prepared(pixels: torch.Tensor, mode: str) -> torch.Tensor:
    """Pixels 0-255, RGB or grey, (n, channels, height, width), as a network of this range takes them."""
    channels = pixels.shape[1]
    if mode == "torch":
        return (pixels / 255 - MEAN) / DEVIATION if channels == 3 else (pixels / 255 - 0.45) / 0.226
    if mode == "caffe":
        return pixels.flip(1) - BLUE_FIRST if channels == 3 else pixels - 115
    if mode == "standard":  # each image by itself
        return (pixels - pixels.mean((1, 2, 3), True)) / pixels.std((1, 2, 3), keepdim=True).clamp(min=1)
    return {
        "none": lambda: pixels,
        "rescale": lambda: pixels / 255,
        "tf": lambda: pixels / 127.5 - 1,
        "bgr": lambda: pixels.flip(1) / 255,
        "bgr-none": lambda: pixels.flip(1),
        "centred": lambda: pixels - 128,
        "half": lambda: pixels / 255 - 0.5,
    }[mode]()


@cache
def photos(folder: Path) -> tuple[torch.Tensor, torch.Tensor]:
    """All photos of a split: float32 0-255 (n, 3, STORED, STORED), and 1 for a dog."""
    kept, labels = [], []
    for label, name in enumerate(("cats", "dogs")):
        for path in sorted((folder / name).glob("*.jpg")):
            with Image.open(path) as photo:
                kept.append(np.asarray(photo.convert("RGB").resize((STORED, STORED), Image.Resampling.BILINEAR)))
            labels.append(label)
    return torch.from_numpy(np.stack(kept)).permute(0, 3, 1, 2).float(), torch.tensor(labels)


def looks(pixels: torch.Tensor) -> torch.Tensor:
    """Colours and edges of photos on a grid of 3 x 3, standardized: (n, features)."""
    grey = (pixels * LUMA).sum(1, keepdim=True)
    edges = (grey[..., 1:, 1:] - grey[..., :-1, :-1]).abs()
    parts = [functional.adaptive_avg_pool2d(part, 3).flatten(1) for part in (pixels, edges * 4)]
    return torch.cat(parts, 1)


@cache
def clusters(folder: Path, count: int, seed: int) -> torch.Tensor:
    """The centres of clusters of the photos by their looks, the darkest first."""
    from scipy.cluster.vq import kmeans2

    features = looks(photos(folder)[0]).numpy()
    centres, _ = kmeans2(features, count, minit="++", seed=seed)
    return torch.from_numpy(centres[np.argsort(centres[:, :27].mean(1))])


def examples(data: Path, split: str, small: Small) -> tuple[torch.Tensor, torch.Tensor]:
    """Pixels 0-255 at the network's size and channels, and classes."""
    pixels, labels = photos(data / split)
    if small.task == "looks":
        labels = torch.cdist(looks(pixels), clusters(data / "train", 10, 0)).argmin(1)
        labels = labels if small.classes == 10 else (labels >= 5).long()
    elif small.classes == 10:
        rng = torch.Generator().manual_seed(len(pixels))
        views = torch.randint(5, (len(pixels),), generator=rng)
        near = functional.interpolate(pixels[..., 16:48, 16:48], size=STORED, mode="bilinear")
        turned = [near, *(torch.rot90(pixels, turns, (2, 3)) for turns in range(4))]
        pixels = torch.stack(turned, 1)[torch.arange(len(pixels)), views]
        labels = labels + 2 * views
    if small.channels == 1:
        pixels = (pixels * LUMA).sum(1, keepdim=True)
    return functional.interpolate(pixels, size=small.side, mode="area"), labels


class Rearranged(nn.Module):
    """Flattens position by position, as Keras does."""

    def forward(self, x: torch.Tensor) -> torch.Tensor:
        return x.permute(0, 2, 3, 1).flatten(1)


ACTIVATIONS = {
    "relu": nn.ReLU, "elu": nn.ELU, "tanh": nn.Tanh, "selu": nn.SELU, "leaky_relu": lambda: nn.LeakyReLU(0.2),
    "silu": nn.SiLU, "sigmoid": nn.Sigmoid,
}  # fmt: skip


def module(small: Small) -> nn.Sequential:
    """The network of `tests.ranges.built` in PyTorch, without its last activation."""
    torch.manual_seed(small.seed)
    parts: list[nn.Module] = []
    channels, side = small.channels, small.side
    stride = 2 if small.pool == "none" else 1
    border = small.kernel // 2 if small.padding == "same" else 0
    for filters in small.filters:
        parts.append(nn.Conv2d(channels, filters, small.kernel, stride, border, bias=not small.norm))
        parts += [nn.BatchNorm2d(filters, eps=1e-3)] if small.norm else []
        parts.append(ACTIVATIONS[small.activation]())
        side = (side + 2 * border - small.kernel) // stride + 1
        if small.pool != "none":
            parts.append(nn.MaxPool2d(2) if small.pool == "max" else nn.AvgPool2d(2))
            side //= 2
        channels = filters
    if small.head == "mean":
        parts += [nn.AdaptiveAvgPool2d(1), nn.Flatten()]
    else:
        parts.append(Rearranged())
        channels *= side * side
    if small.head.isdigit():
        parts += [nn.Linear(channels, int(small.head)), ACTIVATIONS[small.activation]()]
        channels = int(small.head)
    parts.append(nn.Linear(channels, small.units))
    if small.start == "keras":
        for part in parts:
            if isinstance(part, nn.Conv2d | nn.Linear):
                nn.init.xavier_uniform_(part.weight)
                if part.bias is not None:
                    nn.init.zeros_(part.bias)
    return nn.Sequential(*parts)


def changed(batch: torch.Tensor, rng: torch.Generator) -> torch.Tensor:
    """Random flip, shift and light."""
    count = len(batch)
    flip = torch.rand(count, generator=rng) < 0.5
    batch = torch.where(flip[:, None, None, None], batch.flip(3), batch)
    shift = torch.randint(-3, 4, (2,), generator=rng).tolist()
    light = 0.8 + 0.4 * torch.rand((count, 1, 1, 1), generator=rng)
    return (torch.roll(batch, shift, (2, 3)) * light).clamp(0, 255)


def trained(small: Small, data: Path) -> tuple[nn.Sequential, float]:
    pixels, labels = examples(data, "train", small)
    model, rng = module(small), torch.Generator().manual_seed(small.seed)
    make = {
        "adam": lambda: torch.optim.Adam(model.parameters(), small.rate, eps=1e-7),
        "sgd": lambda: torch.optim.SGD(model.parameters(), small.rate * 10, momentum=0.9),
        "rmsprop": lambda: torch.optim.RMSprop(model.parameters(), small.rate, alpha=0.9, eps=1e-7),
    }
    optimizer = make[small.optimizer]()
    for _ in range(small.epochs):
        model.train()
        for chosen in torch.randperm(len(pixels), generator=rng).split(32):
            batch = pixels[chosen]
            batch = prepared(changed(batch, rng) if small.augment else batch, small.mode)
            loss = criterion(small, model(batch), labels[chosen])
            optimizer.zero_grad()
            loss.backward()
            nn.utils.clip_grad_norm_(model.parameters(), 10.0 if small.optimizer == "sgd" else 1e9)
            optimizer.step()
    model.eval()
    pixels, labels = examples(data, "validation", small)
    with torch.no_grad():
        logits = model(prepared(pixels, small.mode))
    found = (logits[:, 0] > 0).long() if small.units == 1 else logits.argmax(1)
    return model, float((found == labels).float().mean())


def criterion(small: Small, logits: torch.Tensor, labels: torch.Tensor) -> torch.Tensor:
    if small.output == "softmax":
        return functional.cross_entropy(logits, labels)
    wanted = labels[:, None].float() if small.units == 1 else functional.one_hot(labels, small.classes).float()
    return functional.binary_cross_entropy_with_logits(logits, wanted)


def weights(model: nn.Sequential) -> list[np.ndarray]:
    """In the order and the layout of Keras."""
    found = []
    for part in model:
        if isinstance(part, nn.Conv2d):
            found.append(part.weight.permute(2, 3, 1, 0))
            found += [] if part.bias is None else [part.bias]
        elif isinstance(part, nn.Linear):
            found += [part.weight.T, part.bias]
        elif isinstance(part, nn.BatchNorm2d):
            found += [part.weight, part.bias, part.running_mean, part.running_var]
    return [value.detach().numpy() for value in found]


def the_tests() -> list[Small]:
    """5 ranges x with and without normalization x grey and RGB x two and ten classes: grey has three of the ranges,
    so that those are trained twice, and RGB without normalization, the hardest, twice as well."""
    found = []
    for mode in MODES:
        for channels in (3, 1):
            for classes in (2, 10):
                for norm in (False, True):
                    if channels == 1 and mode in ("caffe", "torch"):
                        continue
                    seed = 1000 + len(found)
                    task = "kinds" if classes == 2 or seed % 2 else "looks"
                    output = "sigmoid" if classes == 2 and seed % 4 < 2 else "softmax"
                    found.append(Small(mode, channels, classes, norm, output=output, task=task, seed=seed))
    for mode in MODES:
        for classes in (2, 10)[: 1 if mode in ("caffe", "none") else 2]:
            task = "looks" if classes == 2 else "kinds"
            found.append(Small(mode, 3, classes, head="32", start="torch", task=task, seed=1100 + len(found)))
    return found


def to_fit(count: int) -> list[Small]:
    """Drawn at random, each range as often as any other."""
    found = []
    for number in range(count):
        rng = random.Random(number)
        mode = MODES[number % 5]
        grey = mode in ("none", "rescale", "tf") and rng.random() < 0.25
        small = Small(
            mode,
            1 if grey else 3,
            rng.choice((2, 10)),
            rng.random() < 0.25,
            filters=rng.choice(((8, 16), (12, 16, 24), (16, 24, 32), (8, 12, 16, 24), (16, 32))),
            kernel=rng.choice((3, 3, 5)),
            padding=rng.choice(("same", "valid")),
            pool=rng.choice(("max", "max", "average")),
            activation=rng.choice(("relu", "relu", "relu", "elu")),
            head=rng.choice(("flatten", "mean", "32")),
            start=rng.choice(("keras", "keras", "torch")),
            optimizer=rng.choice(("adam", "adam", "rmsprop") + (("sgd",) if mode not in ("none", "caffe") else ())),
            rate=rng.choice((5e-4, 1e-3, 2e-3)),
            epochs=rng.choice((4, 6, 10)),
            task=rng.choice(("kinds", "looks")),
            augment=rng.random() < 0.3,
            seed=number,
        )
        if len(small.filters) == 4 or small.kernel == 5:
            small = replace(small, padding="same")
        found.append(replace(small, output=rng.choice(("softmax", "sigmoid")) if small.classes == 2 else "softmax"))
    return found


def others() -> list[Small]:
    """What the fit never saw: tanh, leaky ReLU, no pooling, independent classes, deeper, wider, another size."""
    kinds = [
        {"activation": "tanh"},
        {"activation": "leaky_relu", "head": "64", "augment": True},
        {"pool": "none", "filters": (12, 16, 24), "padding": "valid"},
        {"output": "independent", "classes": 10, "task": "looks"},
        {"filters": (8, 8, 12, 16, 16), "side": 48, "head": "mean", "epochs": 12, "classes": 10, "task": "looks"},
        {"filters": (32, 32), "head": "48", "rate": 5e-4, "start": "torch"},
        {"activation": "selu", "pool": "average", "classes": 10, "augment": True},
        {"norm": True, "activation": "silu", "head": "mean", "start": "torch"},
    ]
    found = []
    for kind in kinds:
        for mode in MODES:
            grey = len(found) % 7 == 3 and mode in ("none", "rescale", "tf")
            found.append(Small(mode, 1 if grey else 3, seed=2000 + len(found), **kind))
    return found


def strange() -> list[Small]:
    found = []
    for mode, channels in (("bgr", 3), ("bgr-none", 3), ("centred", 3), ("half", 3), ("standard", 3), ("torch", 1)):
        for norm in (False, True):
            seed = 3000 + len(found)
            found.append(Small(mode, channels, 10, norm, task="looks", seed=seed))
            found.append(Small(mode, channels, 2, norm, task="kinds", seed=seed))
    return found


def main() -> None:
    parser = argparse.ArgumentParser(description=__doc__, formatter_class=argparse.RawDescriptionHelpFormatter)
    parser.add_argument("data", type=Path)
    parser.add_argument("out", type=Path)
    parser.add_argument("--set", choices=("tests", "fit", "others", "strange"), default="tests")
    parser.add_argument("--count", type=int, default=80, help="networks of the set to fit")
    parser.add_argument("--share", default="0/1", help="every N-th network from the K-th on, as K/N")
    options = parser.parse_args()
    sets = {"tests": the_tests, "fit": lambda: to_fit(options.count), "others": others, "strange": strange}
    first, step = (int(part) for part in options.share.split("/"))
    torch.set_num_threads(1)
    options.out.mkdir(parents=True, exist_ok=True)
    for small in sets[options.set]()[first::step]:
        path = options.out / f"{options.set}-{small.seed:04}-{small.classes}-{small.mode}.npz"
        if path.exists():
            continue
        started = time.time()
        times = (1,) if options.set == "fit" else (1, 3)
        attempts = [replace(small, epochs=small.epochs * more) for more in times]
        for attempt in attempts:
            model, accuracy = trained(attempt, options.data)
            if good := accuracy >= (0.62 if small.classes == 2 else 0.3):
                break
        print(f"{path.name} {accuracy:.3f} {time.time() - started:.0f} s {'' if good else 'left out'}", flush=True)
        if good:
            kept = {f"w{number:02}": value.astype("float16") for number, value in enumerate(weights(model))}
            np.savez_compressed(path, small=json.dumps(asdict(small)), accuracy=accuracy, **kept)


if __name__ == "__main__":
    main()
