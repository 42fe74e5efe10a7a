"""The commit that a result is filed under."""

import subprocess

from rgb2ir_jax.training.saving.provenance import git_commit


def git(folder, *arguments):
    names = ("-c", "user.name=Test", "-c", "user.email=test@example.org")
    done = subprocess.run(
        ["git", "-C", folder, *names, *arguments], capture_output=True, text=True, check=True
    )
    return done.stdout.strip()


def test_a_checkout_is_named_by_its_commit_and_its_changes(tmp_path):
    package = tmp_path / "package"
    package.mkdir()
    (package / "module.py").write_text("one\n")
    assert git_commit(package) is None
    git(tmp_path, "init", "--quiet")
    assert git_commit(package) is None
    git(tmp_path, "add", ".")
    git(tmp_path, "commit", "--quiet", "--message=first")
    commit = git(tmp_path, "rev-parse", "HEAD")
    assert git_commit(package) == commit
    (package / "module.py").write_text("two\n")
    assert git_commit(package) == f"{commit}+changes"
    # What is installed below a checkout, but is no part of it, is not its state.
    stranger = tmp_path / "environment"
    stranger.mkdir()
    (stranger / "module.py").write_text("three\n")
    assert git_commit(stranger) is None


def test_without_git_nothing_is_told(tmp_path, monkeypatch):
    monkeypatch.setenv("PATH", str(tmp_path))
    assert git_commit() is None
