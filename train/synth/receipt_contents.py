"""What receipts say: shops, addresses, dates, items and sums that add up.

Everything is made up, from word lists and number patterns. Part of the words is kept for the
held-out split, so that a model is measured on shops and goods that it has not seen.
"""

from __future__ import annotations

from collections.abc import Sequence
from dataclasses import dataclass
from typing import Literal, TypeVar

import numpy as np

from .corpus import word_lists

Trade = Literal["food", "restaurant", "goods", "services", "fuel", "transport"]

T = TypeVar("T")

HELDOUT_EVERY = 5
"""Of every list of words each fifth is held out."""

_STORE_TYPES: dict[Trade, tuple[str, ...]] = {
    "food": (
        "Market", "Supermarket", "Foods", "Grocery", "Mini Mart", "Deli", "Bakery", "Fresh Market",
        "Farm Shop", "Food Store",
    ),
    "restaurant": (
        "Restaurant", "Cafe", "Grill", "Bistro", "Diner", "Pizzeria", "Kitchen", "Coffee House",
        "Noodle Bar", "Steak House", "Tavern", "Brasserie", "Tea Room",
    ),
    "goods": (
        "Hardware", "Books", "Pharmacy", "Electronics", "Toys", "Sports", "Garden Centre", "Home",
        "Department Store", "Stationery", "Shoes", "Outlet",
    ),
    "services": (
        "Hotel", "Inn", "Auto Repair", "Consulting", "Cleaning", "Dental Care", "Studio", "Print",
        "Plumbing", "Design",
    ),
    "fuel": ("Fuel", "Gas Station", "Petrol", "Oil", "Service Station", "Energy"),
    "transport": ("Taxi", "Cabs", "Parking", "City Parking", "Transport", "Car Park", "Shuttle"),
}  # fmt: skip
_ITEMS: dict[Trade, tuple[str, ...]] = {
    "food": (
        "Milk", "Bread", "Butter", "Eggs", "Cheddar", "Yogurt", "Bananas", "Apples", "Tomatoes",
        "Onions", "Potatoes", "Rice", "Pasta", "Olive Oil", "Sugar", "Flour", "Coffee", "Tea",
        "Orange Juice", "Water", "Cereal", "Honey", "Jam", "Peanut Butter", "Chicken Breast",
        "Ground Beef", "Salmon", "Ham", "Bacon", "Lettuce", "Carrots", "Cucumber", "Peppers",
        "Mushrooms", "Grapes", "Lemons", "Chips", "Crackers", "Cookies", "Ice Cream", "Soup",
        "Beans", "Corn", "Tuna", "Mustard", "Ketchup", "Salt", "Dish Soap", "Paper Towels",
        "Batteries", "Shampoo", "Toothpaste", "Napkins", "Foil", "Cat Food", "Dog Treats",
        "Croissant", "Bagel", "Muffin", "Baguette",
    ),
    "restaurant": (
        "Burger", "Cheeseburger", "Fries", "Caesar Salad", "Club Sandwich", "Margherita Pizza",
        "Spaghetti", "Lasagna", "Steak", "Grilled Salmon", "Fish Tacos", "Burrito", "Ramen",
        "Fried Rice", "Spring Rolls", "Chicken Wings", "Onion Rings", "Soup of the Day", "Nachos",
        "Espresso", "Cappuccino", "Latte", "Hot Chocolate", "Iced Tea", "Lemonade", "Cola",
        "Draft Beer", "House Wine", "Sparkling Water", "Cheesecake", "Apple Pie", "Brownie",
        "Pancakes", "Omelette", "Side Salad", "Garlic Bread", "Kids Menu", "Pad Thai", "Curry",
        "Mojito", "Orange Soda", "Green Tea", "Tiramisu", "Gelato",
    ),
    "goods": (
        "Screwdriver", "Hammer", "Nails", "Light Bulb", "Extension Cord", "Paint Brush",
        "Wall Paint", "Notebook", "Pen Set", "Novel", "Cook Book", "Headphones", "USB Cable",
        "Phone Case", "Mouse", "Keyboard", "Aspirin", "Vitamins", "Bandages", "Sunscreen",
        "Soap", "Candle", "Picture Frame", "Vase", "Pillow", "Towel", "Socks", "T-Shirt",
        "Jeans", "Sneakers", "Scarf", "Gloves", "Football", "Yoga Mat", "Puzzle", "Board Game",
        "Flower Pot", "Seeds", "Garden Hose", "Tape",
    ),
    "services": (
        "Oil Change", "Brake Inspection", "Labor", "Tire Rotation", "Room Charge", "Breakfast",
        "Parking Fee", "Consulting Hours", "Logo Design", "Web Hosting", "Printing", "Delivery",
        "Installation", "Cleaning", "Repair Kit", "Travel Expenses", "Training", "Support Plan",
        "Window Cleaning", "Filter",
    ),
    "fuel": ("Unleaded", "Diesel", "Premium", "Super 95", "E10", "Regular", "Car Wash", "Snack",
             "Coffee", "Motor Oil"),
    "transport": ("Fare", "Waiting Time", "Airport Fee", "Parking", "Toll", "Luggage",
                  "Night Surcharge", "Day Ticket", "Booking Fee"),
}  # fmt: skip
_MODIFIERS = (
    "Organic", "Large", "Small", "Fresh", "Classic", "Whole", "Extra", "Mini", "Red", "Green",
    "Black", "White", "Spicy", "Sweet", "Light", "Family", "Premium", "Double", "Dark", "Local",
)  # fmt: skip
_SIZES = ("500g", "1kg", "250ml", "1L", "2L", "330ml", "12oz", "16oz", "6pk", "12pk", "XL", "M",
          "100g", "5lb", "20cm", "3m")  # fmt: skip
_STREETS = ("Street", "St", "St.", "Road", "Rd", "Avenue", "Ave", "Ave.", "Lane", "Blvd", "Drive",
            "Dr.", "Way", "Square", "Plaza", "Court", "Hwy")  # fmt: skip
_STATES = ("NY", "CA", "TX", "WA", "IL", "MA", "FL", "OR", "GA", "NJ", "CO", "PA", "OH", "NC")
_COUNTRIES = ("Ireland", "Australia", "Canada", "Singapore", "New Zealand", "United Kingdom")
_MONTHS = ("Jan", "Feb", "Mar", "Apr", "May", "Jun", "Jul", "Aug", "Sep", "Oct", "Nov", "Dec")
_WEEKDAYS = ("Mon", "Tue", "Wed", "Thu", "Fri", "Sat", "Sun")
_TAX_RATES = (0.05, 0.06, 0.07, 0.0725, 0.08, 0.08875, 0.1, 0.19, 0.2, 0.21)


@dataclass(frozen=True)
class Money:
    """How sums are written.

    Args:
        before: put before the number, e.g. ``"$"``.
        after: put behind it, e.g. ``" EUR"``.
        comma: decimal comma instead of a point.
    """

    before: str = ""
    after: str = ""
    comma: bool = False

    def text(self, cents: int) -> str:
        """E.g. ``"$12.30"``."""
        sign = "-" if cents < 0 else ""
        whole, rest = divmod(abs(cents), 100)
        number = f"{whole:,}.{rest:02d}"
        if self.comma:
            number = number.translate({ord(","): ".", ord("."): ","})
        return f"{sign}{self.before}{number}{self.after}"


@dataclass(frozen=True)
class Item:
    """A line of goods.

    Args:
        name: what.
        code: article number.
        quantity: how many, as written.
        unit_cents: price of one.
        cents: price of all.
    """

    name: str
    code: str
    quantity: str
    unit_cents: int
    cents: int


@dataclass(frozen=True)
class Purchase:
    """All that a receipt can say; layouts choose from it.

    Args:
        trade: kind of shop.
        money: how this receipt writes sums.
        store_name: in upper or mixed case.
        address: one to three lines.
        phone: e.g. ``"(212) 555-0134"``.
        date: in one of many notations.
        time: likewise.
        items: at least one.
        subtotal_cents: sum of the items.
        tax_ratio: of the subtotal.
        tax_cents: the tax.
        tips_cents: 0 when there are none.
        total_cents: sum of the three.
        tendered_cents: what was handed over; the total for cards.
        clerk: a first name.
        number: of the receipt, the table, the terminal.
    """

    trade: Trade
    money: Money
    store_name: str
    address: tuple[str, ...]
    phone: str
    date: str
    time: str
    items: tuple[Item, ...]
    subtotal_cents: int
    tax_ratio: float
    tax_cents: int
    tips_cents: int
    total_cents: int
    tendered_cents: int
    clerk: str
    number: int


class ContentMaker:
    """Makes up purchases.

    Args:
        heldout: take the words that training does not see.
    """

    def __init__(self, heldout: bool) -> None:
        self._heldout = heldout
        lists = word_lists()
        self._names = self._split(lists.names)
        self._english = self._split([w for w in lists.english if 4 <= len(w) <= 9])
        self._items = {trade: self._split(items) for trade, items in _ITEMS.items()}

    def purchase(self, rng: np.random.Generator, trade: Trade, item_count: int) -> Purchase:
        """A new purchase with about ``item_count`` items."""
        money = _money(rng)
        items = tuple(self._item(rng, trade) for _ in range(max(1, item_count)))
        subtotal = sum(item.cents for item in items)
        ratio = _TAX_RATES[_below(rng, len(_TAX_RATES))]
        tax = round(subtotal * ratio)
        tips = round(subtotal * rng.choice([0.1, 0.15, 0.18, 0.2])) if rng.random() < 0.6 else 0
        total = subtotal + tax + tips
        return Purchase(
            trade=trade,
            money=money,
            store_name=self._store_name(rng, trade),
            address=self._address(rng),
            phone=_phone(rng),
            date=_date(rng),
            time=_time(rng),
            items=items,
            subtotal_cents=subtotal,
            tax_ratio=ratio,
            tax_cents=tax,
            tips_cents=tips,
            total_cents=total,
            tendered_cents=-(-total // 500) * 500 if rng.random() < 0.7 else total,
            clerk=pick(rng, self._names),
            number=int(rng.integers(1, 99_999)),
        )

    def _split(self, words: Sequence[str]) -> tuple[str, ...]:
        kept = [w for i, w in enumerate(words) if (i % HELDOUT_EVERY == 0) == self._heldout]
        return tuple(kept)

    def _store_name(self, rng: np.random.Generator, trade: Trade) -> str:
        name, kind = pick(rng, self._names), pick(rng, _STORE_TYPES[trade])
        word = pick(rng, self._english).title()
        full = (
            f"{name}'s {kind}", f"{name} {kind}", f"The {word} {kind}", f"{word} & {name}",
            f"{word} {kind}", f"{kind} {name}", f"{name} & Sons {kind}",
        )[_below(rng, 7)]  # fmt: skip
        return full.upper() if rng.random() < 0.5 else full

    def _address(self, rng: np.random.Generator) -> tuple[str, ...]:
        number = int(rng.integers(1, 9999 if rng.random() < 0.3 else 300))
        street, city = pick(rng, self._names), pick(rng, self._names)
        kind = pick(rng, _STREETS)
        roll = rng.random()
        if roll < 0.5:
            direction = pick(rng, ("", "", "", "N ", "S ", "E ", "W ", "West "))
            first = f"{number} {direction}{street} {kind}"
            second = f"{city}, {pick(rng, _STATES)} {_digits(rng, 5)}"
        elif roll < 0.75:
            first = f"{number} {street} {kind}"
            second = f"{city} {_postcode(rng)}"
        else:
            first = f"{street} {kind} {number}"
            second = f"{_digits(rng, 5)} {city}"
        lines = [first, second]
        if rng.random() < 0.15:
            lines.insert(1, pick(rng, ("Suite", "Unit", "Shop", "Floor")) + f" {_digits(rng, 2)}")
        elif rng.random() < 0.2:
            lines.append(pick(rng, _COUNTRIES))
        elif rng.random() < 0.2:
            lines = [f"{first}, {second}"]
        if rng.random() < 0.35:
            lines = [line.upper() for line in lines]
        return tuple(lines)

    def _item(self, rng: np.random.Generator, trade: Trade) -> Item:
        name = pick(rng, self._items[trade])
        if rng.random() < 0.3:
            name = f"{pick(rng, _MODIFIERS)} {name}"
        if trade in ("food", "goods") and rng.random() < 0.25:
            name = f"{name} {pick(rng, _SIZES)}"
        if trade == "food" and rng.random() < 0.15:
            name = _abbreviated(name)
        count = 1 if rng.random() < 0.65 else int(rng.integers(2, 7))
        cents = _price(rng, trade)
        if trade == "fuel" or (trade == "food" and rng.random() < 0.1):
            amount = round(float(rng.uniform(0.2, 40.0 if trade == "fuel" else 2.5)), 3)
            quantity, whole = f"{amount:.3f}", round(amount * cents)
        else:
            quantity, whole = str(count), count * cents
        return Item(name, _digits(rng, int(rng.integers(4, 13))), quantity, cents, max(1, whole))


def pick(rng: np.random.Generator, items: Sequence[T]) -> T:
    """One of the items."""
    return items[_below(rng, len(items))]


def _below(rng: np.random.Generator, size: int) -> int:
    return int(rng.random() * size)


def _digits(rng: np.random.Generator, count: int) -> str:
    return "".join(str(int(v * 10)) for v in rng.random(count))


def _abbreviated(name: str) -> str:
    """As tills shorten names: without vowels inside words."""
    words = [w[0] + "".join(c for c in w[1:] if c not in "aeiou") for w in name.split()]
    return " ".join(words).upper()


def _price(rng: np.random.Generator, trade: Trade) -> int:
    low, high = {
        "food": (50, 1500), "restaurant": (200, 3500), "goods": (150, 9000),
        "services": (1000, 40000), "fuel": (120, 450), "transport": (100, 6000),
    }[trade]  # fmt: skip
    cents = float(np.exp(rng.uniform(np.log(low), np.log(high))))
    if rng.random() < 0.5:
        return max(1, round(cents / 10) * 10 - 1)
    return max(5, round(cents / 5) * 5)


def _money(rng: np.random.Generator) -> Money:
    roll = rng.random()
    if roll < 0.45:
        return Money()
    if roll < 0.75:
        return Money(before="$")
    if roll < 0.82:
        return Money(comma=True)
    if roll < 0.88:
        return Money(after=" EUR", comma=rng.random() < 0.5)
    return Money(before=pick(rng, ("$ ", "RM", "USD ", "S$", "GBP ")))


def _phone(rng: np.random.Generator) -> str:
    a, b, c = _digits(rng, 3), _digits(rng, 3), _digits(rng, 4)
    return pick(
        rng,
        (
            f"({a}) {b}-{c}", f"{a}-{b}-{c}", f"{a}.{b}.{c}", f"+1 {a} {b} {c}", f"{a} {b} {c}",
            f"+{a[:2]} {b} {c}", f"0{a[:2]}-{b}{c}", f"({a}){b}-{c}", f"0{a} {b}{c}",
        ),
    )  # fmt: skip


def _postcode(rng: np.random.Generator) -> str:
    letters = "ABCDEFGHJKLMNPRSTUWXYZ"
    a, b, c, d = (pick(rng, letters) for _ in range(4))
    return f"{a}{b}{_digits(rng, 1)} {_digits(rng, 1)}{c}{d}"


def _date(rng: np.random.Generator) -> str:
    year, month, day = int(rng.integers(2008, 2026)), int(rng.integers(1, 13)), _below(rng, 28) + 1
    name, short = _MONTHS[month - 1], year % 100
    weekday = pick(rng, _WEEKDAYS)
    return pick(
        rng,
        (
            f"{month:02d}/{day:02d}/{year}", f"{day:02d}/{month:02d}/{year}",
            f"{month}/{day}/{short:02d}", f"{day:02d}.{month:02d}.{year}",
            f"{year}-{month:02d}-{day:02d}", f"{day} {name} {year}", f"{name} {day}, {year}",
            f"{day:02d}-{name}-{year}", f"{name}{day:02d}'{short:02d}",
            f"{weekday} {day:02d}/{month:02d}/{short:02d}", f"{month:02d}-{day:02d}-{short:02d}",
            f"{weekday}, {name} {day}, {year}", f"{year}/{month:02d}/{day:02d}",
        ),
    )  # fmt: skip


def _time(rng: np.random.Generator) -> str:
    hour, minute, second = int(rng.integers(6, 24)), int(rng.integers(60)), int(rng.integers(60))
    half = "PM" if hour >= 12 else "AM"
    twelve = (hour - 1) % 12 + 1
    return pick(
        rng,
        (
            f"{hour:02d}:{minute:02d}", f"{hour:02d}:{minute:02d}:{second:02d}",
            f"{twelve}:{minute:02d} {half}", f"{twelve:02d}:{minute:02d}{half}",
            f"{twelve}:{minute:02d}:{second:02d} {half}", f"{hour}:{minute:02d}",
        ),
    )  # fmt: skip
