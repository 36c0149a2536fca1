"""The blocks of a USTAR archive whose bytes depend on names and contents alone, without clock or owner."""

BLOCK = 512
RECORD = 10240
NAME_BYTES = 100
# mode 0644, owner and group 0; what follows the size: time 0, then the checksum's place
BEFORE_SIZE = b"0000644\0" + 2 * b"0000000\0"
TIME = b"00000000000\0"
AFTER_CHECKSUM = b"0".ljust(101, b"\0") + b"ustar\x0000".ljust(255, b"\0")
SPACES = 8 * ord(" ")
FIXED_SUM = SPACES + sum(BEFORE_SIZE) + sum(TIME) + sum(AFTER_CHECKSUM)
LARGEST = 8**11 - 1


def header(name: str, size: int) -> bytes:
    """The block before a file of `size` bytes. name: ASCII, at most 100 characters."""
    encoded = name.encode("ascii")
    assert len(encoded) <= NAME_BYTES
    assert 0 <= size <= LARGEST
    digits = b"%011o\0" % size
    checksum = b"%06o\0 " % (FIXED_SUM + sum(encoded) + sum(digits))
    return encoded.ljust(NAME_BYTES, b"\0") + BEFORE_SIZE + digits + TIME + checksum + AFTER_CHECKSUM


def padding(size: int) -> bytes:
    """What fills the last block of a file of `size` bytes."""
    return bytes(-size % BLOCK)


def end(size: int) -> bytes:
    """What ends an archive of `size` bytes: two empty blocks, then up to a whole record, as tar does."""
    return bytes(2 * BLOCK + -(size + 2 * BLOCK) % RECORD)
