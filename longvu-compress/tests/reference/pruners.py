#!/usr/bin/env python3
"""Tokens that published methods keep, worked out with NumPy: python3 pruners.py > pruners.json

Written from the papers' formulas and apart from the Rust code, which tests/pruners.rs compares with what this prints.
"""
import json

import numpy as np

rng = np.random.default_rng(11)
ROWS, COLUMNS, HIDDEN = 3, 4, 8
N = ROWS * COLUMNS


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def least(values, count):
    return np.sort(np.argsort(values, kind="stable")[:count])


def dycoke(v, k):
    x, kept = unit(v), []
    for start in range(0, len(v), 4):
        own = {0: np.arange(N)}
        for frame, reference in [(1, 0), (3, 2), (2, 0)]:
            if start + frame < len(v):
                cosine = (x[start + frame] * x[start + reference]).sum(-1)
                own[frame] = least(cosine, int(np.floor((1 - k) * N + 1e-9)))
        kept += [own[frame] for frame in sorted(own)]
    return kept


def evs(v, q):
    x = unit(v)
    novelty = np.concatenate([np.full(N, np.inf), (1 - (x[1:] * x[:-1]).sum(-1)).reshape(-1)])
    chosen = np.argsort(-novelty, kind="stable")[: max(N, int(len(v) * N * (1 - q)))]
    return [np.sort(chosen[chosen // N == t] % N) for t in range(len(v))]


def vidcom2(v, r):
    flat = v.reshape(-1, HIDDEN)
    x = unit(v[:, :, least(flat.var(axis=0), HIDDEN // 2)])
    alphas = [2.0**k for k in range(-3, 2)]

    def likeness(center):
        squared = ((x - center) ** 2).sum(-1)
        return sum(np.exp(-squared / (2 * a)) for a in alphas)

    video, frame = likeness(x.mean(axis=(0, 1), keepdims=True)), likeness(x.mean(axis=1, keepdims=True))
    score = -video.mean(axis=1)
    p = np.exp((score - score.max()) / 0.01)
    p /= p.sum()
    counts = np.clip(np.round(N * np.minimum(1, r * (1 + p - p.mean()))), 1, N).astype(int)
    return [least(own, count) for own, count in zip(video + frame, counts)]


def divprune(v, retained, chunk):
    kept = []
    for start in range(0, len(v), chunk):
        x = unit(v[start : start + chunk].reshape(-1, HIDDEN))
        distance = 1 - x @ x.T
        others = distance + np.where(np.eye(len(x)) > 0, np.inf, 0)
        chosen = [int(np.argmax(others.min(axis=1)))]
        while len(chosen) < int(retained * len(x)):
            nearest = distance[:, chosen].min(axis=1)
            nearest[chosen] = -np.inf
            chosen.append(int(np.argmax(nearest)))
        chosen = np.array(chosen)
        kept += [np.sort(chosen[chosen // N == t] % N) for t in range(len(x) // N)]
    return kept


def places(kept):
    """Among a frame's tokens with a newline after each row, which stays where anything of the row does."""
    row = COLUMNS + 1
    of = lambda own: {int(i // COLUMNS * row + i % COLUMNS) for i in own} | {int(i // COLUMNS * row + COLUMNS) for i in own}
    return [sorted(of(own)) for own in kept]


cases = []
for frames in [4, 9, 21]:
    # Scenes of some frames that resemble each other.
    scenes = rng.normal(size=(frames // 5 + 1, N, HIDDEN))
    v = (scenes[np.arange(frames) // 5] + rng.normal(size=(frames, N, HIDDEN)) * 0.4).round(3)
    cases.append({
        "frames": frames,
        "tokens": v.reshape(-1).tolist(),
        "dycoke": places(dycoke(v, 0.7)),
        "evs": places(evs(v, 0.75)),
        "vidcom2": places(vidcom2(v, 0.25)),
        "divprune": places(divprune(v, 0.098, 8)),
    })
print(json.dumps(cases))
