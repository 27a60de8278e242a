"""What pyproject.toml cannot say: a build starts from an empty folder.

setuptools keeps build/lib between builds, and with it modules that were moved or deleted since.
"""

import shutil

from setuptools import setup
from setuptools.command.build_py import build_py


class CleanBuild(build_py):
    """Copies the modules that there are, and no others."""

    def run(self) -> None:
        if not self.editable_mode:
            shutil.rmtree(self.build_lib, ignore_errors=True)
        super().run()


setup(cmdclass={"build_py": CleanBuild})
