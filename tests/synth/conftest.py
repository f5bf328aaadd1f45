import pytest

from ocrserve.train.synth import FontFace, find_fonts


@pytest.fixture(scope="session")
def pip_fonts() -> tuple[FontFace, ...]:
    return find_fonts("pip", "train")
