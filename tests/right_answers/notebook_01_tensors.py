from collections import Counter

import numpy as np
import torch


def trim_by_size(images):
    height, width = images.shape[2], images.shape[3]
    return images.narrow(2, 4, height - 8).narrow(3, 4, width - 8).clone()


def brighten_floats(pixels, amount):
    result = pixels.float()
    result += amount
    result[result < 0] = 0
    result[result > 255] = 255
    return result.to(torch.uint8)


def brighten_numpy(pixels, amount):
    wide = pixels.numpy().astype(int) + amount
    return np.clip(wide, 0, 255).astype(np.uint8)


def brighten_rounded(pixels, amount):
    between_0_and_1 = (pixels.float() / 255 + amount / 255).clamp(0, 1)
    return (255 * between_0_and_1).round().byte()


def tiles_loops(image, size):
    found = []
    for top in range(0, image.shape[0], size):
        for left in range(0, image.shape[1], size):
            found.append(image[top : top + size, left : left + size])
    return torch.stack(found)


def read_loops(images, labels, new, k):
    answers = []
    for image in new:
        distances = ((images - image) ** 2).flatten(1).sum(dim=1).tolist()
        order = sorted(range(len(images)), key=lambda i: distances[i])
        votes = Counter(labels[i].item() for i in order[:k])
        answers.append(votes.most_common(1)[0][0])
    return torch.tensor(answers)


def read_broadcast(images, labels, new, k):
    differences = images.flatten(1).unsqueeze(0) - new.flatten(1).unsqueeze(1)
    distances = (differences**2).sum(dim=-1)
    return labels[distances.topk(k, largest=False).indices].mode(dim=1).values


def read_expanded(images, labels, new, k):
    images, new = images.flatten(1).double(), new.flatten(1).double()
    scores = new @ images.T - 0.5 * (images**2).sum(dim=1)
    votes = labels[scores.argsort(dim=1, descending=True)[:, :k]]
    return (votes.unsqueeze(2) == torch.arange(10)).sum(dim=1).argmax(dim=1)


ANSWERS = {
    "1.1": [lambda images: images[..., 4:-4, 4:-4], trim_by_size],
    "1.2": ["d, c and A", ["a", "c", "d"], {"c", "d", "a"}, "a c d"],
    "1.3": [brighten_floats, brighten_numpy, brighten_rounded],
    "1.4": [
        torch.arange(9.0).reshape(3, 3),
        torch.tensor([[1.0], [2.0], [4.0]]),
        [[0.5, 0.0], [0.0, 0.0]],
        np.arange(16.0).reshape(4, 4),
    ],
    "1.5": [
        tiles_loops,
        lambda image, size: (
            image.unfold(0, size, size).unfold(1, size, size).flatten(0, 1)
        ),
        lambda image, size: torch.cat(
            [torch.stack(row.split(size, dim=1)) for row in image.split(size)]
        ),
    ],
    "1.6": [read_loops, read_broadcast, read_expanded],
}
