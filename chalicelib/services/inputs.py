"""The input files of a run: fetched when they are asked for, dropped again when the disk is full."""

import re
from collections import OrderedDict
from collections.abc import Sequence
from pathlib import Path
from typing import BinaryIO

from chalicelib.models.data_products import DataProduct
from chalicelib.pipelines.base import InputGoneError
from chalicelib.storage import artefacts


class LocalCopies:
    """Keeps local copies of input files within a budget; those not used for longest go first.

    Parameters
    ----------
    folder : Path
        Where the copies lie.
    budget_bytes : int
        Room for all copies together; one file larger than this is kept alone.
    """

    def __init__(self, folder: Path, budget_bytes: int) -> None:
        self._folder = folder
        self._budget = budget_bytes
        self._copies: OrderedDict[int, tuple[Path, int]] = OrderedDict()
        self._used = 0

    def path_of(self, product: DataProduct) -> Path:
        """Return the local copy of a data product.

        Raises
        ------
        InputGoneError
            If the file is no longer there.
        """
        if product.id in self._copies:
            self._copies.move_to_end(product.id)
            return self._copies[product.id][0]
        while self._copies and self._used + product.size > self._budget:
            _, (oldest, size) = self._copies.popitem(last=False)
            oldest.unlink(missing_ok=True)
            self._used -= size
        folder = self._folder / str(product.id)
        folder.mkdir(parents=True, exist_ok=True)
        # cfitsio reads brackets, braces and other characters of a file name as instructions
        path = folder / re.sub(r"^-|[^A-Za-z0-9._-]", "_", product.name)
        try:
            artefacts.fetch(product.key, path)
        except FileNotFoundError:
            raise InputGoneError(f"Input file '{product.name}' is no longer there") from None
        self._copies[product.id] = (path, product.size)
        self._used += product.size
        return path


class StoredInput:
    """One input of a run, as pipelines see it."""

    def __init__(self, product: DataProduct, copies: LocalCopies) -> None:
        self.name = product.name
        self.id = product.id
        self.data_product_type = product.data_product_type
        self._product = product
        self._copies = copies

    @property
    def path(self) -> Path:
        """The local copy; fetched on first use, and again where it was dropped."""
        return self._copies.path_of(self._product)

    @property
    def pk(self) -> int:
        """Its number, under the name that Django gives it."""
        return self.id

    @property
    def data(self) -> "DataFile":
        """The file itself: tom_education's authors write `product.data.path`."""
        return DataFile(self)

    def get_file_name(self) -> str:
        """Return the file name, as TOM Toolkit's data products do."""
        return self.name


class DataFile:
    """The file of an input, as Django shows it to tom_education's authors: its path is a text."""

    def __init__(self, product: StoredInput) -> None:
        self.name = product.name
        self._product = product

    @property
    def path(self) -> str:
        """The local copy."""
        return str(self._product.path)

    @property
    def file(self) -> BinaryIO:
        """The local copy, open for reading."""
        return self.open()

    @property
    def size(self) -> int:
        """Bytes."""
        return self._product.path.stat().st_size

    def open(self, mode: str = "rb") -> BinaryIO:
        """Open the local copy; for reading only, it is the run's own and may be fetched anew."""
        if mode not in ("r", "rb"):
            raise ValueError(f"an input file is opened for reading, not with the mode '{mode}'")
        return self._product.path.open("rb")

    def read(self) -> bytes:
        """Return all of it."""
        return self._product.path.read_bytes()


def stored_inputs(products: Sequence[DataProduct], folder: Path, budget_bytes: int) -> list[StoredInput]:
    """Return the inputs for a run on these data products, in their order; nothing is fetched yet."""
    copies = LocalCopies(folder, budget_bytes)
    return [StoredInput(product, copies) for product in products]
