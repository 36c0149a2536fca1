"""From a cell of a paper's table to the full settings of its run at a scale."""

from collections.abc import Iterator, Mapping
from typing import Any

from looksam.config import Config, Row, check, one_of, plain
from looksam.dataset_rows import check_dataset
from looksam.errors import UserError
from looksam.fingerprint import Code
from looksam.shadow_settings import check_shadow
from looksam.splits import training_images

# what the settings of every run hold, beside model, dataset, method and seed
RUN_KEYS = (
    "batch_size",
    "epochs",
    "optimizer",
    "peak_lr",
    "weight_decay",
    "schedule",
    "warmup_steps",
    "clip",
    "label_smoothing",
    "label_noise",
    "augment",
    "shadow",
    "ema",
    "precision",
    "micro_batch_size",
    "activation_checkpointing",
    "memory_format",
    "compile",
    "threads",
)
OPTIONAL = frozenset(
    {"clip", "ema", "label_noise", "shadow"}
    | {"micro_batch_size", "activation_checkpointing", "memory_format", "compile"}
)

# coordinates of a cell that name a row or a file, and are no setting themselves
NAMES = ("recipe", "model", "method")


class Resolver:
    """Resolves the settings of runs at one scale."""

    def __init__(self, config: Config, code: Code, scale: str) -> None:
        self.config, self.scale_name, self.scale = config, scale, config.scales[scale]
        of_code = {key: code.choices(key, f"{key.upper()}S") for key in ("ascent", "descent")}
        self.of_methods = {**of_code, "chosen_as": config.methods}
        self.choices = {
            "optimizer": code.choices("optimizers", "OPTIMIZERS"),
            "schedule": code.choices("optimizers", "SCHEDULES"),
        }
        self.augments = code.choices("augment", "AUGMENTS")
        self.sources = code.choices("sources", "SOURCES")

    def paper_side(self, coordinates: Row, where: str) -> Row:
        """What the paper's run is: the table's coordinates over the recipe's plain settings."""
        recipe = self.config.recipes[coordinates["recipe"]]
        for key in ("model", "method"):
            if key not in coordinates:
                raise UserError(f"{where}: no {key} for its runs; give it in rows, columns or runs")
        paper = plain(recipe) | coordinates
        one_of(paper["model"], "model", self.config.models, where)
        one_of(paper["dataset"], "data set", self.config.datasets, f"config/recipes/{paper['recipe']}.yaml")
        return paper

    def settings(self, coordinates: Row, table: str) -> Row:
        """The settings, without seed, of the run at a table's coordinates."""
        where = f"config/tables/{table}.yaml"
        paper = self.paper_side(coordinates, where)
        files = f"config/recipes/{paper['recipe']}.yaml, config/scales/{self.scale_name}.yaml"
        found = self.typed(self.found(coordinates, table), f"{where} (with {files})")
        resolved = self.assembled(found, paper, f"{where} (with {files})")
        self.check(resolved, f"{where} (with {files})")
        return resolved

    def found(self, coordinates: Row, table: str) -> Row:
        """What the config says of the run at a table's coordinates, be it enough for a run or not.

        One value, several owners, the first wins: the table's cell; the method's row; the scale (its cases,
        then its settings); the recipe (its cases, then its plain settings).
        """
        where = f"config/tables/{table}.yaml"
        paper = self.paper_side(coordinates, where)
        method = self.method(paper["method"], where)
        facts = (
            paper
            | {key: method[key] for key in ("k", "ascent", "descent") if key in method}
            | {"table": table}
        )
        recipe = self.config.recipes[paper["recipe"]]
        found = plain(recipe)
        for layer in (*matching(recipe, facts), self.scale.get("settings", {}), *matching(self.scale, facts)):
            found |= layer
        found |= {key: method[key] for key in ("rho", "alpha") if key in method}
        said = coordinates | {key: paper[key] for key in ("batch_size", "dataset")}
        return found | {key: self.stand_in(key, value) for key, value in said.items() if key not in NAMES}

    def typed(self, found: Row, where: str) -> Row:
        """The settings, checked, since tables and stand-ins may hold anything; 1 and 1.0 made one number."""
        check(found, "settings", self.config.schema, where)
        kinds = self.config.schema["$defs"]["settings"]["properties"]
        numbers = [key for key in found if "number" in kinds[key].get("type", ())]
        return found | {key: float(found[key]) for key in numbers if not isinstance(found[key], str)}

    def assembled(self, found: Row, paper: Row, where: str) -> Row:
        """The settings in the order of the pipeline, model, data set and method written out."""
        config, method = self.config, self.method(paper["method"], where)
        model = one_of(self.stand_in("model", paper["model"]), "model", config.models, where)
        dataset = one_of(found["dataset"], "data set", config.datasets, where)
        missing = [key for key in RUN_KEYS if key not in found and key not in OPTIONAL]
        if missing:
            raise UserError(
                f"{where}: no {' and no '.join(missing)} for {described(paper)}; add a case to the recipe, "
                "or set it in the scale"
            )
        if not found.get("label_noise"):
            # none is the same run as none asked for
            found.pop("label_noise", None)
        augments = [name for name in (found["geometry"], found["augment"]) if name != "none"]
        found["augment"] = "+".join(augments) or "none"
        return {
            "model": named_row(model, config.models),
            "dataset": named_row(dataset, config.datasets),
            "method": self.used(method, found, paper, where),
            **{key: found[key] for key in RUN_KEYS if key in found},
        }

    def method(self, name: str, where: str) -> Row:
        """The method's row, what it names checked against the code and the config."""
        row = self.config.methods[one_of(name, "method", self.config.methods, where)]
        for key, known in self.of_methods.items():
            if key in row:
                one_of(row[key], key, known, f"config/methods.yaml: {name}")
        return row

    def used(self, method: Row, found: Row, paper: Row, where: str) -> Row:
        """Of a method, only what it uses: a new alpha makes no new run of SAM."""
        if method["k"] == 0:
            return {"k": 0}
        keys = ["rho"] if method["descent"] == "g_s" else ["rho", "alpha"]  # every other descent has an alpha
        for key in keys:
            if key not in found:
                raise UserError(
                    f"{where}: no {key} for {described(paper)}; give it in config/methods.yaml, the recipe "
                    "or the scale"
                )
        own = {
            key: method[key]
            for key in ("k", "ascent", "descent", "start", "replay", "perturbation")
            if key in method
        }
        return own | {key: found[key] for key in keys}

    def stand_in(self, key: str, value: Any) -> Any:
        """What stands in for a value of the paper at this scale: itself, where none is listed for its key."""
        stand_ins = self.scale.get("stand_ins", {}).get(key)
        if stand_ins is None:
            return value
        if value not in stand_ins:
            raise UserError(
                f"config/scales/{self.scale_name}.yaml: no stand-in for {key} {value!r}; known: "
                f"{', '.join(str(known) for known in stand_ins)}. Add it to stand_ins.{key}, or let the "
                "scale leave it out of the table"
            )
        return stand_ins[value]

    def check(self, settings: Row, where: str) -> None:
        """UserError where the settings cannot be trained."""
        for key, known in self.choices.items():
            one_of(settings[key], key, known, where)
        for name in settings["augment"].split("+"):
            one_of(name, "augmentation", ("none", *self.augments), where)
        dataset, batch_size = settings["dataset"], settings["batch_size"]
        check_dataset(dataset, self.sources)
        images = training_images(settings)
        steps = images // batch_size * settings["epochs"]
        if steps <= 0:
            raise UserError(
                f"{where}: batch_size {batch_size} is larger than the {max(images, 0)} training "
                f"images of {dataset['name']}; take a smaller one, or more data"
            )
        check_shadow(settings, images, where)
        if settings["warmup_steps"] >= steps:
            raise UserError(
                f"{where}: warmup_steps {settings['warmup_steps']} leaves nothing of the {steps} steps of "
                f"{settings['epochs']} epochs at batch_size {batch_size}; take fewer, or more epochs"
            )


def matching(owner: Mapping[str, Any], facts: Row) -> Iterator[Row]:
    """What the owner's cases set, in order, for a run of which `facts` hold."""
    for case in owner.get("cases", []):
        if all(facts.get(key) == value for key, value in case["when"].items()):
            yield case["set"]


def named_row(name: str, rows: Mapping[str, Row]) -> Row:
    """A row with its name in it and without its label, which decides no number."""
    return {"name": name} | {key: value for key, value in rows[name].items() if key != "label"}


def described(paper: Row) -> str:
    """A run of the paper in a few words, for an error."""
    return ", ".join(f"{key} {paper[key]}" for key in ("method", "model", "batch_size"))
