"""Layouts of receipts and forms: which parts a shop prints, in which order and where.

A layout is a function from a random generator and a purchase to rows. Layouts share small parts
(an address, a list of goods, sums), whose wording varies; what makes a layout is its order of parts
and its columns. The held-out ones arrange parts in ways that no training layout does.
"""

from __future__ import annotations

from collections.abc import Callable, Sequence
from dataclasses import dataclass
from itertools import count
from typing import Literal

import numpy as np

from .receipt_contents import Item, Money, Purchase, Trade, pick
from .receipt_page import Align, Cell, Row

Where = Literal["beside", "spread", "column", "middle"]
"""Of a value: right behind its key, at the right margin, in a column, or both around the middle."""


@dataclass(frozen=True)
class Layout:
    """One way of printing receipts.

    Args:
        name: of the layout.
        build: makes the rows.
        trades: shops that use it.
        columns: least and greatest width of the text, in ems.
        items: least and greatest number of items.
        heldout: never used for training.
        form: a sheet of office paper rather than a till roll.
    """

    name: str
    build: Callable[[np.random.Generator, Purchase], list[Row]]
    trades: tuple[Trade, ...]
    columns: tuple[float, float]
    items: tuple[int, int]
    heldout: bool = False
    form: bool = False


class Writer:
    """The wording and habits of one receipt."""

    def __init__(self, rng: np.random.Generator, purchase: Purchase) -> None:
        self.rng = rng
        self.purchase = purchase
        self._links = count()
        self._upper = rng.random() < 0.4
        self._colon = pick(rng, ("", ":", ":", ":", " :"))

    def chance(self, probability: float) -> bool:
        return bool(self.rng.random() < probability)

    def pick(self, *items: str) -> str:
        return pick(self.rng, items)

    def money(self, cents: int) -> str:
        return self.purchase.money.text(cents)

    def bare(self, cents: int) -> str:
        """A sum without its currency, as in narrow columns."""
        return Money(comma=self.purchase.money.comma).text(cents)

    def word(self, text: str) -> str:
        """A printed word of the shop's own, in the receipt's case."""
        return text.upper() if self._upper else text

    def key(self, *wordings: str) -> str:
        """One of the wordings as a key."""
        return self.word(pick(self.rng, wordings)) + self._colon

    def pair(
        self, kind: str, key: str, value: str, where: Where = "beside", at: float = 0.0
    ) -> tuple[Cell, ...]:
        """A key and its value; an empty key leaves the value alone.

        Args:
            kind: class without its ending, e.g. ``"Date"``; or ``"Others"``.
            key: text of the key.
            value: text of the value.
            where: the value stands.
            at: where the key starts; with ``"column"`` the value is .35 behind.
        """
        if kind == "Others":
            key_label = value_label = "Others"
            link = None
        else:
            key_label, value_label = f"{kind}_key", f"{kind}_value"
            link = next(self._links)
        align: Align = "left"
        if where == "middle":
            if not key:
                return (Cell(value, value_label, 0.5, "centre", link),)
            return (
                Cell(key, key_label, 0.48, "right", link),
                Cell(value, value_label, 0.5, "left", link),
            )
        value_at = {"beside": at, "spread": 1.0, "column": at + 0.35}[where]
        if where == "spread":
            align = "right"
        value_cell = Cell(value, value_label, value_at, align, link)
        return (Cell(key, key_label, at, "left", link), value_cell) if key else (value_cell,)

    def new_link(self) -> int:
        """A number for cells that belong together."""
        return next(self._links)


# --- parts ---------------------------------------------------------------------------------------


def store(w: Writer, align: Align, size: float, *, keyed: bool = False) -> list[Row]:
    """The shop's name, perhaps with a line below that says nothing."""
    at = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
    name = w.purchase.store_name
    if keyed:
        key = w.key("Store", "Merchant", "Shop", "Store Name")
        rows = [Row(w.pair("Store_name", key, name, "beside"), bold=w.chance(0.5))]
    else:
        cell = Cell(name, "Store_name_value", at, align)
        rows = [Row((cell,), size=size, bold=w.chance(0.7), gap=float(w.rng.uniform(0, 0.5)))]
    if w.chance(0.15):
        slogan = w.pick("Fresh every day", "Since 1987", "Welcome!", "Open 7 days", "Tax Invoice",
                        "Sales Receipt", "Family owned")  # fmt: skip
        rows.append(Row((Cell(w.word(slogan), "Others", at, align),)))
    return rows


def address(w: Writer, align: Align, *, keyed: bool = False) -> list[Row]:
    """One to three lines."""
    at = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
    first, *others = w.purchase.address
    if keyed:
        cells = w.pair("Store_addr", w.key("Address", "Addr", "Location"), first, "beside")
        indent = 0.2
        rows = [Row(cells)]
        link = cells[0].link
        return rows + [
            Row((Cell(line, "Store_addr_value", indent, "left", link),)) for line in others
        ]
    return [Row((Cell(line, "Store_addr_value", at, align),)) for line in (first, *others)]


def phone(w: Writer, align: Align, *, keyed: bool | None = None) -> list[Row]:
    """The telephone number, with or without a key."""
    if keyed is None:
        keyed = w.chance(0.65)
    key = w.key("Tel", "Phone", "Ph", "Telephone", "Tel.", "Call", "Phone No") if keyed else ""
    if align == "centre":
        return [Row(w.pair("Tel", key, w.purchase.phone, "middle"))]
    if align == "right" and not key:
        return [Row((Cell(w.purchase.phone, "Tel_value", 1.0, "right"),))]
    return [Row(w.pair("Tel", key, w.purchase.phone, "beside", 0.0))]


def date_key(w: Writer) -> str:
    """What stands before the date."""
    return w.key("Date", "Date", "Dt", "Order Date", "Trans Date", "Issued", "Invoice Date")


def time_key(w: Writer) -> str:
    """What stands before the time."""
    return w.key("Time", "Time", "Tm", "Trans Time")


def date_and_time(w: Writer, *, keyed: bool, spread: bool) -> list[Row]:
    """Both on one row."""
    at = 0.0
    date = w.pair("Date", date_key(w) if keyed else "", w.purchase.date, "beside", at)
    if not w.chance(0.85):
        return [Row(date)]
    time_text = w.purchase.time
    if keyed:
        time = w.pair("Time", time_key(w), time_text, "beside", 0.58)
    else:
        time = w.pair(
            "Time", "", time_text, "spread" if spread else "beside", 0.0 if spread else 0.3
        )
    return [Row(date + time)]


def details(w: Writer, how_many: int, where: Where = "beside") -> list[Row]:
    """Numbers that are none of the classes."""
    p = w.purchase
    known = [
        (w.key("Receipt", "Receipt No", "Trans", "Invoice", "Check", "Order", "Ticket"),
         f"{p.number:05d}"),
        (w.key("Cashier", "Server", "Clerk", "Served by", "Staff", "Operator"), p.clerk),
        (w.key("Register", "Terminal", "Reg", "POS", "Lane"), f"{p.number % 12 + 1:02d}"),
        (w.key("Table", "Station", "Guests", "Covers"), f"{p.number % 40 + 1}"),
        (w.key("VAT No", "Reg No", "ABN", "Tax ID", "GST Reg"), f"{p.number * 7919 % 10**9:09d}"),
    ]  # fmt: skip
    chosen = w.rng.permutation(len(known))[:how_many]
    return [Row(w.pair("Others", known[i][0], known[i][1], where)) for i in chosen]


@dataclass(frozen=True)
class Columns:
    """Where the columns of a list of goods stand; None leaves one out.

    Each is (place, align): of the name, the quantity, the price of one, and the price.
    """

    item: tuple[float, Align]
    price: tuple[float, Align]
    quantity: tuple[float, Align] | None = None
    unit: tuple[float, Align] | None = None


def goods(w: Writer, columns: Columns, *, heads: bool, gap: float = 0.0) -> list[Row]:
    """A row per item, perhaps below headings."""
    item, quantity, unit, price = (w.new_link() if heads else None for _ in range(4))
    rows: list[Row] = []
    if heads:
        cells = [
            Cell(w.word(w.pick("Item", "Description", "Product", "Article", "Name", "Service")),
                 "Prod_item_key", *columns.item, item),
            Cell(w.word(w.pick("Price", "Amount", "Total", "Amt", "Sum")), "Prod_price_key",
                 *columns.price, price),
        ]  # fmt: skip
        if columns.quantity is not None:
            text = w.word(w.pick("Qty", "Quantity", "Qty.", "Units", "Count"))
            cells.append(Cell(text, "Prod_quantity_key", *columns.quantity, quantity))
        if columns.unit is not None:
            text = w.word(w.pick("Unit Price", "Price", "Each", "Rate"))
            cells.append(Cell(text, "Prod_price_key", *columns.unit, unit))
        rows.append(Row(tuple(cells), bold=w.chance(0.5)))
        if w.chance(0.6):
            rows.append(Row(rule="solid" if w.chance(0.5) else "dashed"))
    flag = w.pick("", "", "", " T", " A", " F")
    sum_text = w.money if columns.unit is None or w.chance(0.3) else w.bare
    for each in w.purchase.items:
        cells = [
            Cell(_name(w, each), "Prod_item_value", *columns.item, item),
            Cell(sum_text(each.cents) + flag, "Prod_price_value", *columns.price, price),
        ]
        if columns.quantity is not None:
            cells.append(Cell(each.quantity, "Prod_quantity_value", *columns.quantity, quantity))
        if columns.unit is not None:
            cells.append(Cell(sum_text(each.unit_cents), "Prod_price_value", *columns.unit, unit))
        rows.append(Row(tuple(cells), gap=gap))
    return rows


def goods_in_two_rows(w: Writer, *, name_first: bool, indent: float) -> list[Row]:
    """Name on one row; quantity, price of one and price on another."""
    times = w.pick("x", "@", "X", "at")
    rows = []
    for each in w.purchase.items:
        name = Cell(_name(w, each), "Prod_item_value")
        price = Cell(w.money(each.cents), "Prod_price_value", 1.0, "right")
        if each.quantity == "1" and w.chance(0.7):
            rows.append(Row((name, price)))
            continue
        quantity = Cell(f"{each.quantity} {times}", "Prod_quantity_value", indent)
        unit = Cell(w.money(each.unit_cents), "Prod_price_value", indent + 0.02)
        if name_first:
            rows += [Row((name,)), Row((quantity, unit, price))]
        else:
            rows += [Row((quantity, unit)), Row((name, price))]
    return rows


def _name(w: Writer, item: Item) -> str:
    return item.name.upper() if w._upper else item.name


def sums(w: Writer, where: Where, at: float, *, strong: float = 1.0) -> list[Row]:
    """Subtotal, tax, tips and total, as far as there are any."""
    p = w.purchase
    percent = f"{p.tax_ratio * 100:.4g}%"
    rows: list[Row] = []
    if w.chance(0.85):
        key = w.key("Subtotal", "Sub Total", "Sub-Total", "Subtotal", "Net Total", "Net")
        rows.append(Row(w.pair("Subtotal", key, w.money(p.subtotal_cents), where, at)))
    if w.chance(0.85):
        key = w.key("Tax", "Sales Tax", f"Tax {percent}", f"VAT {percent}", "GST", f"GST {percent}",
                    "Tax 1", "VAT", f"Tax ({percent})", "HST")  # fmt: skip
        rows.append(Row(w.pair("Tax", key, w.money(p.tax_cents), where, at)))
    if p.tips_cents:
        key = w.key("Tip", "Tips", "Gratuity", "Service Charge", "Tip Amount", "Service")
        rows.append(Row(w.pair("Tips", key, w.money(p.tips_cents), where, at)))
    key = w.key("Total", "Total", "Grand Total", "Total Due", "Amount Due", "Balance Due",
                "Total Amount", "Balance", "To Pay")  # fmt: skip
    total = w.pair("Total", key, w.money(p.total_cents), where, at)
    rows.append(Row(total, size=strong, bold=w.chance(0.7), gap=0.2))
    return rows


def payment(w: Writer, where: Where = "spread", at: float = 0.0) -> list[Row]:
    """How it was paid: none of the classes."""
    p = w.purchase
    if p.tendered_cents > p.total_cents and w.chance(0.7):
        paid = w.key("Cash", "Cash Tendered", "Tendered", "Paid")
        change = w.key("Change", "Change Due", "Your Change")
        return [
            Row(w.pair("Others", paid, w.money(p.tendered_cents), where, at)),
            Row(w.pair("Others", change, w.money(p.tendered_cents - p.total_cents), where, at)),
        ]
    card = w.word(w.pick("Visa", "Mastercard", "Debit Card", "Amex", "Card"))
    rows = [Row(w.pair("Others", card, w.money(p.total_cents), where, at))]
    if w.chance(0.5):
        number = f"XXXX XXXX XXXX {p.number % 10_000:04d}"
        rows.append(Row((Cell(number, "Others", 0.0),)))
    if w.chance(0.4):
        rows.append(Row(w.pair("Others", w.key("Auth", "Approval", "Ref"), f"{p.number:06d}")))
    return rows


def thanks(w: Writer, align: Align = "centre", most: int = 3) -> list[Row]:
    """What stands at the end."""
    at = {"left": 0.0, "centre": 0.5, "right": 1.0}[align]
    known = (
        "Thank you!", "Thank you for your visit", "Please come again", "Have a nice day",
        "Customer Copy", "No refunds without receipt", "Returns within 30 days",
        "Tell us how we did", "Prices include tax", "See you soon", "Follow us online",
        "Items sold", "Keep this receipt", "Merchant Copy", "www.example.com",
    )  # fmt: skip
    chosen = w.rng.permutation(len(known))[: int(w.rng.integers(1, most + 1))]
    return [Row((Cell(w.word(known[i]), "Others", at, align),)) for i in chosen]


def line(w: Writer) -> list[Row]:
    """Sometimes a rule, sometimes white space."""
    roll = w.rng.random()
    if roll < 0.55:
        return [Row(rule=pick(w.rng, ("solid", "dashed", "dashed", "double", "stars")), gap=0.2)]
    return [Row(gap=float(w.rng.uniform(-0.7, 0.2)))]


# --- training layouts ----------------------------------------------------------------------------


def _supermarket(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "centre", rng.uniform(1.2, 2.0)) + address(w, "centre") + phone(w, "centre")
    rows += line(w)
    if w.chance(0.6):
        rows += goods(w, Columns((0, "left"), (1, "right")), heads=w.chance(0.2))
    else:
        rows += goods_in_two_rows(w, name_first=w.chance(0.6), indent=0.08)
    rows += line(w) + sums(w, "spread", pick(rng, (0.0, 0.0, 0.2, 0.4)), strong=rng.uniform(1, 1.5))
    rows += payment(w) + line(w)
    rows += details(w, int(rng.integers(0, 3)))
    rows += date_and_time(w, keyed=w.chance(0.4), spread=w.chance(0.5))
    return rows + thanks(w)


def _till(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "left", rng.uniform(1.0, 1.6)) + address(w, "left", keyed=w.chance(0.25))
    rows += phone(w, "left") + line(w)
    rows += date_and_time(w, keyed=w.chance(0.6), spread=True) + details(w, int(rng.integers(1, 4)))
    rows += line(w)
    code = rng.random() < 0.35
    columns = Columns((0.12, "left"), (1, "right"), (0.0, "left"))
    if code:
        for each in purchase.items:
            rows += [Row((Cell(each.code, "Others"),))] if w.chance(0.9) else []
            rows.append(
                Row(
                    (
                        Cell(_name(w, each), "Prod_item_value", 0.05),
                        Cell(w.money(each.cents), "Prod_price_value", 1.0, "right"),
                    )
                )
            )
    else:
        rows += goods(w, columns, heads=w.chance(0.4))
    rows += line(w) + sums(w, "spread", pick(rng, (0.0, 0.3)), strong=rng.uniform(1, 1.3))
    return rows + payment(w) + line(w) + thanks(w, "left" if w.chance(0.5) else "centre")


def _restaurant(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "centre", rng.uniform(1.3, 2.2)) + address(w, "centre")
    rows += phone(w, "centre") + line(w)
    server = w.pair("Others", w.key("Server", "Waiter", "Host"), purchase.clerk)
    table = w.pair("Others", w.key("Table", "Tbl"), f"{purchase.number % 40 + 1}", "beside", 0.6)
    rows.append(Row(server + table))
    rows += date_and_time(w, keyed=w.chance(0.3), spread=True) + line(w)
    if w.chance(0.7):
        columns = Columns((0.1, "left"), (1, "right"), (0.0, "left"))
    else:
        columns = Columns((0, "left"), (1, "right"), (0.68, "right"))
    rows += goods(w, columns, heads=w.chance(0.3), gap=pick(rng, (0.0, 0.0, 0.3)))
    where: Where = "spread"
    rows += line(w) + sums(w, where, pick(rng, (0.0, 0.1, 0.4, 0.5)), strong=rng.uniform(1, 1.6))
    if w.chance(0.4):
        rows += payment(w)
    return rows + line(w) + thanks(w)


def _cafe(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = date_and_time(w, keyed=w.chance(0.3), spread=True) if w.chance(0.3) else []
    dated = bool(rows)
    rows += store(w, "centre", rng.uniform(1.2, 1.9))
    rows += (address(w, "centre") if w.chance(0.8) else []) + phone(
        w, "centre", keyed=w.chance(0.4)
    )
    order = w.word(w.pick("Order", "Ticket", "No.")) + f" {purchase.number % 900 + 100}"
    rows.append(Row((Cell(order, "Others", 0.5, "centre"),), size=rng.uniform(1, 1.6), bold=True))
    rows += line(w)
    columns = Columns((0, "left"), (1, "right"), (0.62, "centre"))
    rows += goods(w, columns, heads=w.chance(0.8)) + line(w)
    rows += sums(w, "spread", 0.0, strong=rng.uniform(1, 1.4))
    if not dated:
        rows += line(w) + date_and_time(w, keyed=w.chance(0.5), spread=False)
    return rows + thanks(w)


def _invoice(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    title = w.word(w.pick("Invoice", "Tax Invoice", "Receipt", "Bill"))
    name = Cell(purchase.store_name, "Store_name_value")
    rows = [Row((name, Cell(title, "Others", 1.0, "right")), size=1.6, bold=True, gap=0.6)]
    dated = w.pair("Date", date_key(w), purchase.date, "beside", 0.62)
    number = w.pair("Others", w.key("Invoice No", "No", "Bill No"), f"{purchase.number:06d}",
                    "beside", 0.62)  # fmt: skip
    right = [dated, number]
    for i, text in enumerate(purchase.address):
        cell = Cell(text, "Store_addr_value")
        rows.append(Row((cell, *(right[i] if i < len(right) else ()))))
    rows += [Row(cells) for cells in right[len(purchase.address) :]]
    rows += phone(w, "left")
    rows.append(Row((Cell(w.word("Bill to"), "Others"),), bold=True, gap=0.1))
    rows.append(Row((Cell(purchase.clerk, "Others"),), gap=0.8))
    columns = Columns((0, "left"), (1, "right"), (0.6, "centre"), (0.8, "right"))
    rows += goods(w, columns, heads=w.chance(0.95), gap=rng.uniform(0, 0.5))
    rows += [Row(rule="solid", gap=0.3)]
    rows += sums(w, "spread", pick(rng, (0.55, 0.6, 0.65)), strong=rng.uniform(1, 1.3))
    return [*rows, Row(gap=1.0), *thanks(w, "left", 2)]


def _fuel(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "centre", rng.uniform(1.1, 1.6)) + address(w, "centre")
    rows += phone(w, "centre") if w.chance(0.5) else []
    rows += [*line(w), Row(w.pair("Date", date_key(w), purchase.date, "spread"))]
    rows += [Row(w.pair("Time", time_key(w), purchase.time, "spread"))]
    rows += details(w, int(rng.integers(1, 3)), "spread") + line(w)
    for each in purchase.items:
        links = [w.new_link() for _ in range(3)]
        pump = w.word(w.pick("Pump", "Pump No"))
        rows.append(Row(w.pair("Others", pump, f"{purchase.number % 9 + 1}", "spread")))
        for link, kind, key, value in (
            (links[0], "Prod_item", w.key("Product", "Grade", "Fuel"), _name(w, each)),
            (links[1], "Prod_quantity", w.key("Gallons", "Litres", "Volume", "Qty"), each.quantity),
            (links[2], "Prod_price", w.key("Price/Gal", "Price/L", "Unit Price"),
             w.money(each.unit_cents)),
            (w.new_link(), "Prod_price", w.key("Fuel Sale", "Amount", "Sale"), w.money(each.cents)),
        ):  # fmt: skip
            rows.append(
                Row(
                    (
                        Cell(key, f"{kind}_key", 0.0, "left", link),
                        Cell(value, f"{kind}_value", 1.0, "right", link),
                    )
                )
            )
    return rows + line(w) + sums(w, "spread", 0.0) + payment(w) + thanks(w)


def _pharmacy(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "left", rng.uniform(1.0, 1.4), keyed=w.chance(0.5))
    rows += address(w, "left", keyed=w.chance(0.6)) + phone(w, "left", keyed=True)
    rows += [Row(w.pair("Date", date_key(w), purchase.date, "column"))]
    rows += [Row(w.pair("Time", time_key(w), purchase.time, "column"))] if w.chance(0.7) else []
    rows += details(w, 2, "column") + line(w)
    columns = Columns((0, "left"), (1, "right"), (0.55, "right"), (0.78, "right"))
    rows += goods(w, columns, heads=w.chance(0.7)) + line(w)
    return (
        rows + sums(w, "column", pick(rng, (0.4, 0.5, 0.6))) + payment(w, "column", 0.4) + thanks(w)
    )


def _transport(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    w = Writer(rng, purchase)
    rows = store(w, "centre", rng.uniform(1.1, 1.8))
    rows += phone(w, "centre") + (address(w, "centre") if w.chance(0.5) else []) + line(w)
    rows += [Row(w.pair("Date", date_key(w), purchase.date, "beside"))]
    rows += [Row(w.pair("Time", time_key(w), purchase.time, "beside"))]
    rows += details(w, int(rng.integers(1, 4))) + line(w)
    rows += goods(w, Columns((0, "left"), (1, "right")), heads=w.chance(0.15))
    return rows + sums(w, "spread", 0.0, strong=rng.uniform(1, 1.7)) + payment(w) + thanks(w)


# --- held-out layouts ----------------------------------------------------------------------------


def _bistro(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    """The address at the end, quantities behind the names, sums around the middle."""
    w = Writer(rng, purchase)
    rows = [*store(w, "centre", rng.uniform(1.5, 2.2)), Row(gap=-0.3)]
    keyed = w.chance(0.5)
    date = w.pair("Date", date_key(w) if keyed else "", purchase.date)
    if keyed and w.chance(0.5):
        time = w.pair("Time", time_key(w), purchase.time)
        rows += [*details(w, 1), Row(date), Row(time)]
    else:
        rows += [*details(w, 1), Row(date + w.pair("Time", "", purchase.time, "spread"))]
    rows += [Row(rule="double", gap=0.2)]
    columns = Columns((0, "left"), (1, "right"), (0.6, "right"), (0.8, "right"))
    rows += [*goods(w, columns, heads=w.chance(0.6), gap=0.15), Row(rule="dashed", gap=0.2)]
    rows += sums(w, "spread", 0.3, strong=rng.uniform(1.1, 1.5)) + line(w) + payment(w)
    rows += address(w, "centre") + phone(w, "centre")
    return rows + thanks(w, most=2)


def _workshop(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    """A form with the shop on the right and quantities first."""
    w = Writer(rng, purchase)
    rows = store(w, "right", rng.uniform(1.3, 1.8)) + address(w, "right")
    rows += phone(w, "right", keyed=False)
    rows += [
        Row(w.pair("Date", date_key(w), purchase.date)),
        Row(w.pair("Others", w.key("Customer", "Job No"), f"{purchase.number:05d}"), gap=0.7),
    ]
    columns = Columns((0.14, "left"), (1, "right"), (0.0, "left"), (0.8, "right"))
    rows += goods(w, columns, heads=True, gap=rng.uniform(0, 0.4))
    rows.append(Row(rule="solid", gap=0.2))
    rows += sums(w, "spread", 0.5, strong=1.2)
    return [*rows, Row(gap=0.6), *thanks(w, "left", 2)]


def _stall(rng: np.random.Generator, purchase: Purchase) -> list[Row]:
    """A short slip: date first, goods, then who sold them."""
    w = Writer(rng, purchase)
    rows = [
        Row(
            w.pair("Date", "", purchase.date, "beside")
            + w.pair("Time", "", purchase.time, "beside", 0.4)
        )
    ]
    rows += store(w, "left", rng.uniform(1.2, 1.7)) + phone(w, "left") + line(w)
    rows += goods_in_two_rows(w, name_first=True, indent=0.15) + line(w)
    rows += sums(w, "spread", 0.0, strong=rng.uniform(1.1, 1.6)) + line(w)
    return rows + address(w, "left") + thanks(w, "left", 2)


LAYOUTS: Sequence[Layout] = (
    Layout("supermarket", _supermarket, ("food", "goods"), (19, 25), (2, 14)),
    Layout("till", _till, ("goods", "food"), (20, 26), (1, 9)),
    Layout("restaurant", _restaurant, ("restaurant",), (19, 25), (1, 9)),
    Layout("cafe", _cafe, ("restaurant", "food"), (18, 23), (1, 6)),
    Layout("invoice", _invoice, ("services", "goods"), (36, 44), (1, 7), form=True),
    Layout("fuel", _fuel, ("fuel",), (18, 22), (1, 1)),
    Layout("pharmacy", _pharmacy, ("goods", "food"), (22, 28), (1, 7)),
    Layout("transport", _transport, ("transport", "services"), (18, 23), (1, 3)),
    Layout("bistro", _bistro, ("restaurant",), (21, 25), (2, 8), heldout=True),
    Layout("workshop", _workshop, ("services", "goods"), (34, 40), (2, 7), True, form=True),
    Layout("stall", _stall, ("food", "goods"), (18, 23), (1, 6), heldout=True),
)


def layouts(split: Literal["train", "heldout"]) -> tuple[Layout, ...]:
    """The layouts of a split."""
    return tuple(each for each in LAYOUTS if each.heldout == (split == "heldout"))
