#!/usr/bin/env python3
"""Tokens that published methods keep and merge, worked out with NumPy: python3 merging.py > merging.json

Written from the papers' formulas and apart from the Rust code, which tests/merging.rs compares with what this prints.
"""
import json
import math

import numpy as np

rng = np.random.default_rng(23)
ROWS, COLUMNS, HIDDEN = 3, 4, 8
N = ROWS * COLUMNS


def unit(x):
    return x / np.linalg.norm(x, axis=-1, keepdims=True)


def top(values, count):
    return np.argsort(-np.asarray(values), kind="stable")[:count]


def distance(x, y):
    return np.linalg.norm(x[:, None] - y[None], axis=-1) / math.sqrt(HIDDEN)


def peak_scores(x, k):
    d = distance(x, x)
    np.fill_diagonal(d, 0)
    density = np.exp(-(np.sort(d, axis=1)[:, :k] ** 2).mean(axis=1))
    score = np.empty(len(x))
    for i in range(len(x)):
        # Tokens that are each other's nearest are equally dense, for which the papers' code adds noise; here the earlier is denser.
        equal = np.isclose(density, density[i], rtol=1e-9, atol=0)
        denser = np.where(equal, np.arange(len(x)) < i, density > density[i])
        score[i] = (d[i][denser].min() if denser.any() else d.max()) * density[i]
    return score


def fastvid(v, attention, r, d, c, tau, p, beta):
    frames = len(v)
    mean = unit(v.mean(axis=1))
    similar = (mean[1:] * mean[:-1]).sum(-1)
    ends = sorted(set(top(-similar, c - 1)) | set(np.flatnonzero(similar < tau)) | {frames - 1})
    n = int(r * N)
    contextual = n if attention is None else int(n * d)
    out, left = {}, []
    for t in range(frames):
        salient = [] if attention is None else top(attention[t], n - contextual)
        out.update({(t, int(i)): v[t, i] for i in salient})
        left.append([i for i in range(N) if i not in salient])
    start = 0
    for end in ends:
        length = end + 1 - start
        every = np.array([v[t, i] for t in range(start, end + 1) for i in left[t]])
        anchor_frames = [t for t in range(start, end + 1) if (end - t) % p == 0]
        for t in anchor_frames:
            own = v[t, left[t]]
            chosen = top(peak_scores(own, 4), contextual * length // len(anchor_frames))
            nearest = np.argmax(unit(every) @ unit(own[chosen]).T, axis=1)
            for a, i in enumerate(chosen):
                taken = every[nearest == a]
                weight = max(1 / (len(taken) + 1), beta)
                out[t, int(left[t][i])] = weight * own[i] + (1 - weight) * taken.mean(axis=0)
        start = end + 1
    return out


def windows(similar, tau, frames):
    """Frames in windows that keep the most tokens from being repeated, by trying every way to cut."""
    static = lambda s, e: int((similar[s:e] > tau).all(axis=0).sum())
    best = {-1: (0, [])}
    for e in range(frames):
        ways = [(best[s - 1][0] + static(s, e) * (e - s), best[s - 1][1] + [(s, e)]) for s in range(e, -1, -1)]
        best[e] = max(ways, key=lambda way: way[0])  # the first, which is the shortest last window, of equal ones
    return best[frames - 1]


def clustered(x, count, k, beta):
    """Positions of the density peaks among the tokens, and what they become."""
    chosen = np.sort(top(peak_scores(x, min(k, count)), count))
    others = np.setdiff1d(np.arange(len(x)), chosen)
    nearest = np.argmin(distance(x[others], x[chosen]), axis=1)
    taken = [x[others][nearest == a] for a in range(count)]
    return [(int(i), beta * x[i] + (1 - beta) * t.mean(axis=0) if len(t) else x[i]) for i, t in zip(chosen, taken)]


def holitom(v, attention, r, tau, d, k, beta):
    frames, out = len(v), {}
    similar = (unit(v)[1:] * unit(v)[:-1]).sum(-1)
    saved, cuts = windows(similar, tau, frames)
    r = min(r / ((frames * N - saved) / (frames * N)), 1)
    for s, e in cuts:
        mask = (similar[s:e] > tau).all(axis=0) if e > s else np.zeros(N, bool)
        places = np.flatnonzero(mask)
        count = round(len(places) * r)
        if count:
            for i, token in clustered(v[s : e + 1, places].mean(axis=0), count, k, beta):
                out[s, int(places[i])] = token
        places = np.flatnonzero(~mask)
        count = math.ceil(len(places) * r)
        dominant = 0 if attention is None else round(count * (1 - d))
        for t in range(s, e + 1):
            salient = places[top(attention[t, places], dominant)] if dominant else np.array([], int)
            out.update({(t, int(i)): v[t, i] for i in salient})
            rest = np.setdiff1d(places, salient)
            if count > dominant:
                for i, token in clustered(v[t, rest], count - dominant, k, beta):
                    out[t, int(rest[i])] = token
    return out


def visionzip(v, attention, r, contextual):
    out = {}
    for t, x in enumerate(v):
        n = int(r * N)
        targets = round(n * contextual)
        dominant = top(attention[t], n - targets)
        out.update({(t, int(i)): x[i] for i in dominant})
        rest = np.setdiff1d(np.arange(N), dominant)
        if not targets:
            continue
        chosen = rest[:: max(1, len(rest) // targets)][:targets]
        others = np.setdiff1d(rest, chosen)
        nearest = np.argmax(unit(x[others]) @ unit(x[chosen]).T, axis=1)
        for a, i in enumerate(chosen):
            taken = x[others][nearest == a]
            out[t, int(i)] = x[i] + (taken.mean(axis=0) if len(taken) else 0)
    return out


def listed(out, frames):
    """Kept places of each frame and their tokens in order; newlines, which are left out here, follow every kept row."""
    return {
        "kept": [sorted(i for t, i in out if t == frame) for frame in range(frames)],
        "tokens": np.array([out[at] for at in sorted(out)]).round(5).reshape(-1).tolist(),
    }


cases = []
for frames in [1, 3, 9, 22]:
    # Scenes of some frames, in which some places hardly change.
    scenes = rng.normal(size=(frames // 5 + 1, N, HIDDEN))
    noise = rng.choice([0.1, 0.5, 0.9], size=(frames // 5 + 1, N, 1))[np.arange(frames) // 5]
    v = (scenes[np.arange(frames) // 5] + rng.normal(size=(frames, N, HIDDEN)) * noise).round(3)
    attention = rng.random(size=(frames, N)).round(4)
    cases.append({
        "frames": frames,
        "tokens": v.reshape(-1).tolist(),
        "attention": attention.reshape(-1).tolist(),
        "fastvid": listed(fastvid(v, attention, 0.5, 0.4, 3, 0.9, 4, 0.6), frames),
        "fastvid_alone": listed(fastvid(v, None, 0.25, 0.4, 3, 0.9, 4, 0.2), frames),
        "holitom": listed(holitom(v, attention, 0.3, 0.8, 0.0, 7, 0.6), frames),
        "holitom_mixed": listed(holitom(v, attention, 0.4, 0.8, 0.5, 7, 0.6), frames),
        "holitom_alone": listed(holitom(v, None, 0.3, 0.65, 0.0, 3, 0.6), frames),
        "visionzip": listed(visionzip(v, attention, 0.5, 0.3), frames),
    })
print(json.dumps(cases))
