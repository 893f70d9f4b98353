"""Measurements as Markdown."""
from cases import CASES

HEAD = ["work", "weights", "PyTorch", "ours", "ratio", "bar", "peak memory, PyTorch", "peak memory, ours", "achieved", "of the peak"]


def peaks(report):
    """The best arithmetic and the best memory traffic that either side reached, in units of 1e9 a second."""
    best = {}
    for result in report["cases"]:
        if result["name"].endswith("-peak"):
            ours = result["ours"][0]
            amount = ours.get("flop") or ours["bytes"]
            best[result["name"]] = amount / min(result["theirs"]["best"], ours["best"]) / 1e9
    return best["matmul-peak"], best["memory-peak"]


def seconds(value):
    return f"{value:.2f} s" if value >= 10 else f"{value:.3f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def gigabytes(value):
    return f"{value / 1e9:.2f} GB"


def achieved(one, arithmetic, memory):
    """The rate of a median run, and its share of the peak."""
    if "flop" in one:
        rate = one["flop"] / one["median"] / 1e9
        return f"{rate:.0f} GFLOP/s", f"{100 * rate / arithmetic:.0f} %"
    if "bytes" in one:
        rate = one["bytes"] / one["median"] / 1e9
        return f"{rate:.1f} GB/s", f"{100 * rate / memory:.0f} %"
    return "", ""


def rows(report):
    results = {result["name"]: result for result in report["cases"]}
    arithmetic, memory = peaks(report)
    for case in CASES:
        result = results.get(case.name)
        if result is None:
            continue
        theirs = result["theirs"]
        for variant, one in zip(case.variants, result["ours"]):
            yield [case.title, variant.label, seconds(theirs["median"] / case.per), seconds(one["median"] / case.per),
                   f"{theirs['median'] / one['median']:.2f}x", f"{variant.bar}x" if variant.bar else "",
                   gigabytes(theirs["peak_bytes"]), gigabytes(one["peak_bytes"]), *achieved(one, arithmetic, memory)]


def workspaces(report):
    """What long prompts take beyond weights and cache."""
    titles = {case.name: case.title for case in CASES}
    for result in report["cases"]:
        bytes_beyond = result["ours"][0].get("workspace_bytes")
        if bytes_beyond is not None:
            yield f"- {titles[result['name']]}: {gigabytes(bytes_beyond)} beyond weights and cache."


def table(report):
    machine = report["machine"]
    arithmetic, memory = peaks(report)
    lines = [
        f"Measured on {report['when']}: {machine['threads']} cores of `{machine['cpu']}`, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}; {', '.join(report['packages'])}; "
        f"medians of {report['rounds']} rounds of {report['runs']} runs.",
        "",
        f"The machine's measured peaks: {arithmetic:.0f} GFLOP/s in matrix products, {memory:.1f} GB/s reading memory.",
        "",
        f"| {' | '.join(HEAD)} |",
        f"|{'---|' * len(HEAD)}",
    ]
    lines += [f"| {' | '.join(row)} |" for row in rows(report)]
    beyond = list(workspaces(report))
    return "\n".join(lines + ([""] + beyond if beyond else [])) + "\n"
