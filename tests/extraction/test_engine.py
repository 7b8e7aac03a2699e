"""Runs in processes of this machine and of Dask: the same files, whatever is killed on the way."""

import contextlib
import functools
import hashlib
import os
import signal
import subprocess
import sys
import time

import pytest
from helpers import WAIT
from helpers_extraction import make_dataset, volume_atlas

import atlasinit as ai
from atlasinit.extraction import engine
from atlasinit.extraction.cleaning import Cleaning
from atlasinit.extraction.discovery import Filters, find_runs
from atlasinit.extraction.one_run import Averaging
from atlasinit.extraction.performing import Setup, perform
from atlasinit.extraction.planning import label_atlases, make_plan
from atlasinit.extraction.state import Ledger

LABELS = [f"{i:02d}" for i in range(6)]


@pytest.fixture(scope="module")
def dataset(tmp_path_factory):
    root = tmp_path_factory.mktemp("fmriprep") / "derivatives"
    make_dataset(root, LABELS, cifti=False, n_time=10)
    return root


@pytest.fixture(scope="module")
def reference(dataset, tmp_path_factory):
    output = tmp_path_factory.mktemp("reference") / "out"
    assert ai.extract(dataset, volume_atlas(), output, jobs=1).count("done") == len(LABELS)
    return contents(output)


def contents(output):
    """Return the files of persons with hashes of their content."""
    files = [path for path in output.glob("sub-*/**/*") if path.is_file()]
    return {
        str(path.relative_to(output)): hashlib.sha256(path.read_bytes()).hexdigest()
        for path in files
    }


def sound(output):
    """Check that nothing is left of what was stopped."""
    assert not [*(output / ".atlasinit" / "staging").iterdir()]
    assert not [path for path in output.rglob(".atlasinit-*")]


@contextlib.contextmanager
def started(command, **options):
    """Yield a program, which ends with what it is needed for."""
    with subprocess.Popen(command, **options) as process:
        try:
            yield process
        finally:
            process.kill()


@pytest.mark.sweep
def test_processes_write_what_one_does(dataset, reference, tmp_path):
    done = ai.extract(dataset, volume_atlas(), tmp_path / "out", jobs=2)
    assert (done.count("done"), done.failures) == (len(LABELS), {})
    assert contents(tmp_path / "out") == reference
    sound(tmp_path / "out")


def jobs_of(dataset, output):
    """Return the setup and the jobs of an extraction whose output is ready."""
    ai.extract(dataset, volume_atlas(), output, jobs=1, shard=f"1/{len(LABELS)}")
    atlases = label_atlases(volume_atlas())
    plan = make_plan(find_runs(dataset, Filters()), atlases, reduction="mean")
    setup = Setup(
        root=output,
        atlases=tuple(atlases),
        averaging=Averaging(),
        cleaning=Cleaning(),
        kinds=("correlation",),
        estimator="empirical",
        mask="run",
        source=dataset,
    )
    return setup, plan.jobs


def die_once(mark, setup, job):
    """Do a run in a process that is killed at the first try of the third run."""
    if job.run.name.startswith("sub-02"):
        try:
            mark.touch(exist_ok=False)
        except FileExistsError:
            pass
        else:
            os.kill(os.getpid(), signal.SIGKILL)
    return perform(setup, job)


def die_always(setup, job):
    if job.run.name.startswith("sub-02"):
        os.kill(os.getpid(), signal.SIGKILL)
    return perform(setup, job)


@pytest.mark.sweep
def test_a_process_that_is_killed_takes_nothing_with_it(dataset, reference, tmp_path):
    setup, jobs = jobs_of(dataset, tmp_path / "out")
    do = functools.partial(die_once, tmp_path / "mark")
    found = list(engine.run_processes(setup, jobs, 2, do=do))
    assert sorted(one.run for one in found) == [job.run.name for job in jobs]
    assert {one.status for one in found} == {"done", "skipped"}
    assert contents(tmp_path / "out") == reference
    sound(tmp_path / "out")


@pytest.mark.sweep
def test_a_run_that_kills_its_process_fails_alone(dataset, tmp_path):
    setup, jobs = jobs_of(dataset, tmp_path / "out")
    found = {one.run: one for one in engine.run_processes(setup, jobs, 2, do=die_always)}
    assert [name for name, one in found.items() if one.status == "failed"] == [
        "sub-02_task-rest_run-1"
    ]
    assert "was killed twice" in found["sub-02_task-rest_run-1"].reason
    assert len(found) == len(LABELS)


@pytest.mark.sweep
def test_two_processes_on_one_output_do_each_run_once(dataset, reference, tmp_path):
    script = tmp_path / "go.py"
    script.write_text(
        "import sys; sys.path.insert(0, sys.argv[1])\n"
        "from helpers_extraction import volume_atlas\n"
        "import atlasinit as ai\n"
        "done = ai.extract(sys.argv[2], volume_atlas(), sys.argv[3], jobs=1)\n"
        "print(done.count('done'), done.count('failed'))\n"
    )
    tests = os.path.dirname(os.path.dirname(__file__))
    command = [sys.executable, script, tests, dataset, tmp_path / "out"]
    with contextlib.ExitStack() as stack:
        pipes = {"stdout": subprocess.PIPE, "text": True}
        both = [stack.enter_context(started(command, **pipes)) for _ in range(2)]
        counts = [[int(n) for n in one.communicate(timeout=WAIT)[0].split()] for one in both]
    assert sum(done for done, _ in counts) == len(LABELS)
    assert sum(failed for _, failed in counts) == 0
    assert contents(tmp_path / "out") == reference


@pytest.mark.sweep
def test_more_devices_change_no_digit(dataset, reference, tmp_path):
    ai.save_atlas(volume_atlas(), tmp_path / "cubes.npz")
    command = [sys.executable, "-m", "atlasinit", "extract", dataset, "-o", tmp_path / "out"]
    command += ["--atlas", tmp_path / "cubes.npz", "--jobs", "1"]
    env = {**os.environ, "XLA_FLAGS": "--xla_force_host_platform_device_count=4"}
    subprocess.run(command, env=env, check=True, capture_output=True)
    assert contents(tmp_path / "out") == reference


@pytest.mark.sweep
def test_what_is_killed_is_gone_on_with(dataset, reference, tmp_path):
    command = [sys.executable, "-m", "atlasinit", "extract", dataset, "-o", tmp_path / "out"]
    ai.save_atlas(volume_atlas(), tmp_path / "cubes.npz")
    command += ["--atlas", tmp_path / "cubes.npz", "--jobs", "1"]
    with started(command, stderr=subprocess.DEVNULL) as process:
        end = time.monotonic() + WAIT
        while not [*(tmp_path / "out").glob("sub-*")] and process.poll() is None:
            assert time.monotonic() < end
            time.sleep(0.005)
    done = ai.extract(dataset, ai.load_atlas(tmp_path / "cubes.npz"), tmp_path / "out", jobs=1)
    assert done.failures == {}
    assert done.count("done") + done.count("skipped") == len(LABELS)
    assert set(contents(tmp_path / "out")) == set(reference)
    sound(tmp_path / "out")


@pytest.fixture
def cluster():
    """A cluster of two processes of this machine."""
    distributed = pytest.importorskip("distributed")
    options = {"n_workers": 2, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **options) as made:
        yield made


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
def test_dask_writes_what_one_process_does(dataset, reference, tmp_path, cluster):
    done = ai.extract(dataset, volume_atlas(), tmp_path / "out", dask=cluster.scheduler_address)
    assert (done.count("done"), done.failures) == (len(LABELS), {})
    assert contents(tmp_path / "out") == reference


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
def test_a_worker_of_dask_that_is_killed_takes_nothing_with_it(
    dataset, reference, tmp_path, cluster
):
    setup, jobs = jobs_of(dataset, tmp_path / "out")
    do = functools.partial(die_once, tmp_path / "mark")
    with cluster.get_client() as client:
        found = list(engine.run_dask(setup, jobs, client, do=do))
    assert sorted(one.run for one in found) == [job.run.name for job in jobs]
    assert {one.status for one in found} == {"done", "skipped"}
    assert (tmp_path / "mark").exists()
    assert contents(tmp_path / "out") == reference


CLUSTER = """
import distributed

if __name__ == "__main__":
    options = {"n_workers": 1, "threads_per_worker": 1, "dashboard_address": None}
    with distributed.LocalCluster(processes=True, **options) as cluster:
        print(cluster.scheduler_address, flush=True)
        input()
"""


@pytest.mark.sweep
@pytest.mark.filterwarnings("ignore")
def test_a_scheduler_of_dask_that_is_lost_is_resumed_by_starting_again(
    dataset, reference, tmp_path
):
    pytest.importorskip("distributed")
    import dask

    (tmp_path / "cluster.py").write_text(CLUSTER)
    command = [sys.executable, tmp_path / "cluster.py"]
    pipes = {"stdin": subprocess.PIPE, "stdout": subprocess.PIPE, "text": True}
    start = functools.partial(started, command, **pipes, stderr=subprocess.DEVNULL)
    seen = []

    def kill(outcome, number, total):
        seen.append(outcome)
        first.kill()

    with start() as first, dask.config.set({"distributed.comm.timeouts.connect": "3s"}):
        address = first.stdout.readline().strip()
        with pytest.raises(ai.ArgumentError, match=r"lost, with \d of 6 runs.*call again"):
            ai.extract(dataset, volume_atlas(), tmp_path / "out", dask=address, progress=kill)
    assert seen[0].status == "done"
    records = Ledger(tmp_path / "out").records()
    assert {record.status for record in records.values()} == {"done"}
    with start() as second:
        address = second.stdout.readline().strip()
        done = ai.extract(dataset, volume_atlas(), tmp_path / "out", dask=address)
        second.communicate("\n", timeout=WAIT)
    assert done.failures == {}
    assert done.count("done") + done.count("skipped") == len(LABELS)
    assert done.count("skipped") >= 1
    assert contents(tmp_path / "out") == reference
    sound(tmp_path / "out")
