#!/usr/bin/env python3
"""Frames that published methods pick, worked out with NumPy: python3 pickers.py > pickers.json

Written from the papers' formulas and apart from the Rust code, which tests/pickers.rs compares with what this prints.
"""
import json

import numpy as np

rng = np.random.default_rng(7)


def bolt(scores, n, power):
    shifted = scores - scores.min()
    weights = (shifted / shifted.max()) ** power
    cdf = np.cumsum(weights / weights.sum())
    drawn = np.searchsorted(cdf, np.linspace(1 / n, 1 - 1 / n, n)).clip(max=len(scores) - 1)
    picked = set(drawn.tolist())
    for frame in np.argsort(-scores, kind="stable"):
        if len(picked) == n:
            break
        picked.add(int(frame))
    return sorted(picked)


def aks(scores, n, threshold, depth):
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    leaves, open_ = [], [(np.arange(len(scores)), 0)]
    while open_:
        frames, level = open_.pop()
        if len(frames) == 0:
            continue
        own = scaled[frames]
        stands_out = np.sort(own)[::-1][:n].mean() - own.mean() > threshold
        if stands_out or level >= depth:
            leaves.append((frames, level))
        else:
            half = len(frames) // 2
            open_ += [(frames[:half], level + 1), (frames[half:], level + 1)]
    picked = []
    for frames, level in leaves:
        best = np.argsort(-scaled[frames], kind="stable")[: n // 2**level]
        picked += frames[best].tolist()
    # Ours: the paper's formula gives no frame at all where there are more leaves than frames to pick.
    return sorted(picked or np.argsort(-scaled, kind="stable")[:n].tolist())


def mmr(scores, similarity, n, weight):
    scaled = (scores - scores.min()) / (scores.max() - scores.min())
    picked = [int(np.argmax(scaled))]
    while len(picked) < n:
        gain = weight * scaled - (1 - weight) * similarity[:, picked].max(axis=1)
        gain[picked] = -np.inf
        picked.append(int(np.argmax(gain)))
    return sorted(picked)


def k_center(similarity, n):
    picked = [0]
    while len(picked) < n:
        nearest = similarity[:, picked].max(axis=1)
        nearest[picked] = np.inf
        picked.append(int(np.argmin(nearest)))
    return sorted(picked)


cases = []
for frames, count in [(40, 8), (128, 64), (300, 64), (97, 13)]:
    # A rise in the middle, so that segments differ.
    bump = np.exp(-(((np.arange(frames) - frames / 2) / (frames / 10)) ** 2))
    scores = (rng.normal(size=frames) * 0.3 + 2 * bump).round(4)
    tokens = rng.normal(size=(frames, 3, 5)).round(3)
    means = tokens.mean(axis=1)
    unit = means / np.linalg.norm(means, axis=1, keepdims=True)
    similarity = unit @ unit.T
    cases.append({
        "count": count,
        "scores": scores.tolist(),
        "tokens": tokens.reshape(-1).tolist(),
        "bolt": bolt(scores, count, 3.0),
        "aks": aks(scores, count, 0.8, 5),
        "aks_low_threshold": aks(scores, count, 0.2, 3),
        "mmr": mmr(scores, similarity, count, 0.5),
        "k_center": k_center(similarity, count),
    })
print(json.dumps(cases))
