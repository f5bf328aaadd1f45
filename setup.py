"""Maps the repository's folders onto import names; everything else is in pyproject.toml.

``train``, ``handlers`` and ``archives`` are names that other projects use too, so they are
installed below ``ocrserve`` and never at top level.
"""

from setuptools import find_packages, setup

MOUNTED = ("train", "handlers", "archives")


def _packages(folder: str) -> list[str]:
    return [folder, *(f"{folder}.{name}" for name in find_packages(folder))]


package_dir = {f"ocrserve.{folder}": folder for folder in MOUNTED}
packages = _packages("ocr_models") + _packages("ocrserve")
packages += [f"ocrserve.{name}" for folder in MOUNTED for name in _packages(folder)]

setup(packages=packages, package_dir=package_dir, include_package_data=True)
