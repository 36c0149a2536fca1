"""A reader of Thrift's compact protocol, in which Parquet's footers and page headers are written.

pyarrow's own access to these ends the whole process on some that are damaged.
"""

from typing import Any

TRUE, FALSE, BYTE, DOUBLE, BINARY, STRUCT = 1, 2, 3, 7, 8, 12
INTEGERS, LISTS = (4, 5, 6), (9, 10)
LONG_LIST = 15
# a footer of ten thousand row groups of three columns has a million
MOST_VALUES = 5_000_000


class Thrift:
    """Reader of the struct that some bytes begin with. at: how far it has read.

    IndexError where the bytes end or hold too much, KeyError for a kind of value that Parquet does not use.
    """

    def __init__(self, content: bytes) -> None:
        self.content, self.at = content, 0
        self._left = MOST_VALUES

    def struct(self) -> dict[int, Any]:
        """The fields by number."""
        found: dict[int, Any] = {}
        number = 0
        while kind := (first := self.byte()) & 0x0F:
            number = number + (first >> 4) if first >> 4 else self.integer()
            # a field that is true or false has no more than its kind
            found[number] = kind == TRUE if kind in (TRUE, FALSE) else self.value(kind)
        return found

    def value(self, kind: int) -> Any:
        """The next value; None for a number with a point, of which none is wanted."""
        self._left -= 1
        if self._left < 0:
            raise IndexError(f"more than {MOST_VALUES:,} values")
        if kind in INTEGERS:
            return self.integer()
        if kind == STRUCT:
            return self.struct()
        if kind in LISTS:
            first = self.byte()
            length = self.varint() if first >> 4 == LONG_LIST else first >> 4
            return [self.value(first & 0x0F) for _ in range(length)]
        length = self.varint() if kind == BINARY else {TRUE: 1, FALSE: 1, BYTE: 1, DOUBLE: 8}[kind]
        self.at += length
        return self.content[self.at - length : self.at] if kind == BINARY else None

    def byte(self) -> int:
        """The next byte."""
        self.at += 1
        return self.content[self.at - 1]

    def varint(self) -> int:
        """A number of 64 bits at most, 7 bits a byte."""
        number = 0
        for shift in range(0, 70, 7):
            byte = self.byte()
            number |= (byte & 0x7F) << shift
            if byte < 0x80:
                return number
        raise IndexError("a number without an end")

    def integer(self) -> int:
        """A number with a sign in its last bit."""
        number = self.varint()
        return (number >> 1) ^ -(number & 1)
