"""What to do where a data set is missing: where it is had, and what of it to link."""

from pathlib import Path

from looksam.detect import KNOWN

# by the name of a folder in data/
HAD = {
    "imagenet-1k": (
        "ImageNet: sign up at https://image-net.org and download ILSVRC2012_img_train.tar, "
        "ILSVRC2012_img_val.tar and ILSVRC2012_devkit_t12.tar.gz into one folder, or take Kaggle's CLS-LOC "
        "tree. "
    ),
    "cifar10": (
        "CIFAR-10: download cifar-10-python.tar.gz or cifar-10-binary.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html. "
    ),
    "cifar100": (
        "CIFAR-100: download cifar-100-python.tar.gz or cifar-100-binary.tar.gz from "
        "https://www.cs.toronto.edu/~kriz/cifar.html. "
    ),
    "fashion-mnist": (
        "Fashion-MNIST: Debian's package dataset-fashion-mnist puts it in /usr/share/datasets/fashion-mnist. "
    ),
}


def how_to(folder: Path) -> str:
    """Where the data set of the folder is had, how to link it, and all that may lie there."""
    return (
        f"{HAD.get(folder.name, '')}Put it there as it is, nothing need be unpacked, or link it: "
        f"`mkdir -p {folder.parent} && ln -s /where/it/is {folder}`. What may be there: {KNOWN}"
    )
