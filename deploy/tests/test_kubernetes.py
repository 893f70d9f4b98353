"""The Job's manifest, against the schemas of Kubernetes' API, and its command as it stands there."""

from __future__ import annotations

import copy
import os
import subprocess
import tempfile
import unittest
from pathlib import Path

import kubernetes_validate
import yaml
from support import DEPLOY, ENVIRONMENT, PROGRAM, SHORT, contents, some

import parts

# Of the versions that are supported, and the first in which podFailurePolicy and backoffLimitPerIndex are stable.
VERSIONS = ["1.33", "1.35", "1.37"]


class Kubernetes(unittest.TestCase):
    def setUp(self):
        self.job = yaml.safe_load((DEPLOY / "kubernetes" / "longvu-batch.yaml").read_text())
        self.container = self.job["spec"]["template"]["spec"]["containers"][0]

    def test_it_is_a_job(self):
        for version in VERSIONS:
            kubernetes_validate.validate(self.job, version, strict=True)
        for path, value in [
            (("spec", "completions"), "8"),
            (("spec", "complete"), 8),
            (("spec", "podFailurePolicy", "rules"), [{"onExitCodes": {"operator": "In", "values": [3]}}]),
        ]:
            wrong = copy.deepcopy(self.job)
            place = wrong
            for name in path[:-1]:
                place = place[name]
            place[path[-1]] = value
            with self.assertRaises(kubernetes_validate.ValidationError):
                kubernetes_validate.validate(wrong, VERSIONS[-1], strict=True)

    def test_it_says_what_the_api_asks_beyond_its_schema(self):
        """Of Kubernetes' validation of jobs: what goes with Indexed, podFailurePolicy and FailIndex."""
        spec = self.job["spec"]
        self.assertEqual(spec["completionMode"], "Indexed")
        self.assertLessEqual(spec["parallelism"], spec["completions"])
        self.assertEqual(spec["template"]["spec"]["restartPolicy"], "Never")
        self.assertGreater(spec["backoffLimitPerIndex"], 0)
        actions = {}
        for rule in spec["podFailurePolicy"]["rules"]:
            self.assertIn(rule["action"], ("Ignore", "FailIndex", "FailJob", "Count"))
            self.assertEqual(("onExitCodes" in rule) + ("onPodConditions" in rule), 1)
            for code in rule.get("onExitCodes", {}).get("values", []):
                self.assertEqual(rule["onExitCodes"]["containerName"], self.container["name"])
                self.assertNotIn(code, actions)
                actions[code] = rule["action"]
        self.assertEqual(actions, {3: "FailIndex", 2: "FailJob", 1: "Count", 137: "Count", 143: "Count"})
        volumes = {volume["name"] for volume in spec["template"]["spec"]["volumes"]}
        self.assertEqual({mount["name"] for mount in self.container["volumeMounts"]}, volumes)

    def test_the_number_of_parts_is_that_of_completions(self):
        environment = {variable["name"]: variable["value"] for variable in self.container["env"]}
        self.assertEqual(int(environment["JOB_COMPLETIONS"]), self.job["spec"]["completions"])
        self.assertEqual(environment["RAYON_NUM_THREADS"], self.container["resources"]["requests"]["cpu"])

    def test_its_command_does_a_part(self):
        """With the claim's path changed, the built-in model, and two parts instead of eight."""
        with tempfile.TemporaryDirectory() as folder:
            data = Path(folder)
            listed = some(data / "videos", 6)
            arguments = [argument.replace("/data", folder) for argument in self.container["args"]]
            arguments = [argument for argument in arguments if not argument.startswith("--model")]
            environment = {variable["name"]: variable["value"] for variable in self.container["env"]}
            environment |= {"TMPDIR": folder, "JOB_COMPLETIONS": "2", "RAYON_NUM_THREADS": "2"}
            for index in range(2):
                own = {**ENVIRONMENT, **environment, "JOB_COMPLETION_INDEX": str(index)}
                for other in ("SLURM_ARRAY_TASK_ID", "RANK"):
                    own.pop(other, None)
                done = subprocess.run([PROGRAM, *arguments, *SHORT], env=own, capture_output=True, check=False)
                self.assertEqual(done.returncode, 0, done.stderr)
            names = ["_longvu", "part-00000-of-00002.parquet", "part-00001-of-00002.parquet"]
            self.assertEqual(sorted(os.listdir(data / "out")), names)
            rows = [(row["id"], row["question_index"]) for row in contents(data / "out")]
            self.assertEqual(rows, sorted(parts.expected(listed)))


if __name__ == "__main__":
    unittest.main()
