"""Measurements as Markdown."""
from cases import CASES, LEVELS, MULTIPLIES

OURS = "ours"


def seconds(value):
    return f"{value:.2f} s" if value >= 10 else f"{value:.3f} s" if value >= 1 else f"{value * 1e3:.3g} ms"


def gigabytes(value):
    return f"{value / 1e9:.2f} GB"


def markdown(head, rows):
    return ["", f"| {' | '.join(head)} |", f"|{'---|' * len(head)}", *(f"| {' | '.join(row)} |" for row in rows)]


class Report:
    """A measurement by case, with what its columns and shares of the peak are."""

    def __init__(self, report):
        self.report = report
        self.results = {case["name"]: case["results"] for case in report["cases"]}
        self.cases = [case for case in CASES if case.name in self.results]
        # A build for a level shares the column of its like.
        self.columns = list(dict.fromkeys(peer["title"] for peer in report["peers"].values()))

    def find(self, case, who, form, level=None):
        same = (one for one in self.results[case.name] if (one["who"], one["format"], one["level"]) == (who, form, level))
        return next((one for one in same if "failure" not in one), None)

    def ours(self, cases):
        """Case, variant and figures of each row."""
        for case in cases:
            variants = {variant.label: variant for variant in case.variants}
            for one in self.results[case.name]:
                if one["who"] == OURS and "failure" not in one:
                    yield case, variants[one["format"]], one

    def theirs(self, case, one, title):
        """Names of formats and figures of the peers that stand beside a row in a column."""
        for name, peer in self.report["peers"].items():
            if peer["title"] == title and peer["level"] == one["level"]:
                forms = peer["formats"].get(one["format"], [])
                for form in forms:
                    found = self.find(case, name, form)
                    if found:
                        yield form if len(forms) > 1 else "", found

    def instruction(self, form, level):
        """The best rate on registers of an instruction for the format, at a level."""
        has, kind = LEVELS.get(level), MULTIPLIES.get(form)
        rates = {}
        for one in self.report["instructions"]:
            if has is None or one["level"] in has:
                rates[one["format"]] = max(rates.get(one["format"], 0), one["all_threads"])
                # Quantised weights are widened for AMX.
                if one["level"] == "amx" and kind == "int8":
                    kind = "bf16"
        return rates.get(kind) or rates.get("f32")

    def memory(self):
        """The best of any side, in bytes a second."""
        sides = [one for one in self.results["memory-peak"] if "failure" not in one]
        amount = next(one["bytes"] for one in sides if "bytes" in one)
        return amount / min(one["best"] for one in sides)

    def achieved(self, one):
        """The rate of a median run, and its share of the peak."""
        if "flop" in one:
            rate, peak, unit = one["flop"] / one["median"], self.instruction(one["format"], one["level"]), "GFLOP/s"
        elif "bytes" in one:
            rate, peak, unit = one["bytes"] / one["median"], self.memory(), "GB/s"
        else:
            return "", ""
        return f"{rate / 1e9:.{0 if rate > 1e11 else 1}f} {unit}", f"{100 * rate / peak:.0f} %" if peak else ""

    def row(self, case, variant, one):
        cells = []
        for title in self.columns:
            each = [f"{form} {seconds(their['median'] / case.per)} ({their['median'] / one['median']:.2f}x)".strip()
                    for form, their in self.theirs(case, one, title)]
            cells.append(", ".join(each))
        label = ", ".join(filter(None, [variant.label, one["level"]]))
        bar = f"{variant.bar}x" if variant.bar and not one["level"] else ""
        return [case.title, label, seconds(one["median"] / case.per), *self.achieved(one), *cells, bar]

    def speed(self, bound):
        rows = [self.row(*each) for each in self.ours([case for case in self.cases if case.bound == bound])]
        return markdown(["work", "weights", "ours", "achieved", "of the peak", *self.columns, "bar"], rows) if rows else []

    def space(self):
        rows = []
        for case, variant, one in self.ours(self.cases):
            if not one["level"]:
                each = [[f"{form} {gigabytes(their['peak_bytes'])}".strip() for form, their in self.theirs(case, one, title)
                         if their["peak_bytes"]] for title in self.columns]
                rows.append([case.title, variant.label, gigabytes(one["peak_bytes"]), *(", ".join(cell) for cell in each)])
        return markdown(["most memory", "weights", "ours", *self.columns], rows) if rows else []

    def instructions(self):
        rows = [[f"`{one['instruction']}`", one["level"], one["format"],
                 *(f"{one[threads] / 1e9:.0f}" for threads in ("one_thread", "all_threads"))]
                for one in self.report["instructions"]]
        head = ["on registers", "level", "numbers", "1 thread, 1e9/s", f"{self.report['machine']['threads']} threads, 1e9/s"]
        return markdown(head, rows) if rows else []

    def notes(self):
        """What long prompts take beyond weights and cache, and what has no figures."""
        for case in self.cases:
            found = self.find(case, OURS, "f32")
            if found and found.get("workspace_bytes") is not None:
                yield f"- {case.title}: ours takes {gigabytes(found['workspace_bytes'])} beyond weights and cache."
        for name, reason in self.report["absent"].items():
            yield f"- {name} is left out: {reason}."
        for case in self.cases:
            for one in self.results[case.name]:
                if "failure" in one:
                    who = " ".join(filter(None, [one["who"], one["format"], one["level"]]))
                    yield f"- {case.title}: {who} has no figure: {one['failure']}."


def tables(report):
    machine, read = report["machine"], Report(report)
    versions = dict.fromkeys(", ".join(peer["versions"]) for peer in report["peers"].values())
    lines = [
        f"Measured on {report['when']}: {machine['threads']} cores of `{machine['cpu']}`, "
        f"{machine['memory_bytes'] / 2**30:.0f} GiB, {machine['system']}; medians of {report['rounds']} rounds of "
        f"{report['runs']} runs.",
        *(["", f"Beside it: {'; '.join(versions)}."] if versions else []),
        "",
        f"Memory is read at {read.memory() / 1e9:.1f} GB/s at best.",
        *read.instructions(), *read.speed("arithmetic"), *read.speed("token"), *read.speed("else"), *read.space(), "",
        *read.notes(),
    ]
    return "\n".join(lines) + "\n"
