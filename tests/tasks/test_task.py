"""Tasks as data: the fifteen of the package, a user's own, and what is refused."""

from __future__ import annotations

from pathlib import Path

import pyarrow as pa
import pytest

from crystal.errors import TaskError
from crystal.tasks import load, loader
from crystal.tasks.answers import canonical, extract
from crystal.tasks.task import TaskSuite


def answers(task: str, *texts: str) -> list[str | None]:
    found: list[str | None] = extract(
        pa.array(texts, pa.large_string()), "short", load("default").tasks[task], "sft"
    ).to_pylist()
    return found


@pytest.fixture(scope="module")
def default() -> TaskSuite:
    return load("default")


def test_the_fifteen_tasks_have_the_options_that_the_world_has(default: TaskSuite) -> None:
    sizes = {name: len(task.options) for name, task in default.tasks.items()}
    assert sizes | {"colour": 0, "fruit": 0, "animal": 0, "first_name": 0} == {
        "coin": 2, "die": 6, "num10": 10, "num100": 100, "letter": 26, "weekday": 7, "month": 12, "colour": 0,
        "fruit": 0, "animal": 0, "country": 193, "us_state": 50, "first_name": 0, "card": 52, "rps": 3,
    }  # fmt: skip
    assert min(sizes[name] for name in ("colour", "fruit", "animal", "first_name")) >= 50


def test_every_task_is_asked_in_eight_wordings_of_four_families(default: TaskSuite) -> None:
    for task in default.tasks.values():
        assert len(task.prompts) >= 8
        families = [prompt.family for prompt in task.prompts]
        assert len(set(families)) >= 4
        assert min(families.count(family) for family in set(families)) >= 2
        for prompt in task.prompts:
            assert prompt.completion
            assert prompt.chat
            assert prompt.completion != prompt.chat


def test_every_option_of_every_task_is_read_as_itself(default: TaskSuite) -> None:
    for name, task in default.tasks.items():
        assert answers(name, *task.options) == list(task.options)
        loud = [f"**{option.upper()}**." for option in task.options]
        assert answers(name, *loud) == list(task.options)


def test_ordered_tasks_have_places_and_circles_a_period(default: TaskSuite) -> None:
    ordered = {name for name, task in default.tasks.items() if task.positions is not None}
    assert ordered == {"die", "num10", "num100", "letter", "weekday", "month"}
    assert {name: task.period for name, task in default.tasks.items() if task.period} == {
        "weekday": 7,
        "month": 12,
    }


@pytest.mark.parametrize(
    ("task", "text", "option"),
    [
        ("num10", "Sure! Here is a random number between 1 and 10: 7", "7"),
        ("num10", "Here's one: eight", "8"),
        ("num10", "one", "1"),
        ("num10", "7.5", None),
        ("num10", "17", None),
        ("num10", "1,000", None),
        ("num100", "seventy-three!", "73"),
        ("num100", "Forty two", "42"),
        ("num100", "1 through 100? 37", "37"),
        ("letter", "I choose the letter Q.", "Q"),
        ("letter", "A", "A"),
        ("letter", "i", "I"),
        ("letter", "the answer", None),
        ("month", "It may be July", "July"),
        ("month", "May.", "May"),
        ("weekday", "Tues", "Tuesday"),
        ("colour", "Gray", "grey"),
        ("colour", "Sky-Blue or sky blue", "sky blue"),
        ("colour", "reddish", None),
        ("fruit", "Cherries", "cherry"),
        ("animal", "A red panda, not a panda", "red panda"),
        ("animal", "I cannot bear it: a cat", "cat"),
        ("country", "U.S.A.", "United States"),
        ("country", "Guinea-Bissau", "Guinea-Bissau"),
        ("country", "Papua New Guinea", "Papua New Guinea"),
        ("country", "Cote d\u2019Ivoire", "Côte d'Ivoire"),
        ("country", "Sa\u0303o Tome\u0301 and Pri\u0301ncipe", "São Tomé and Príncipe"),
        ("country", "Let us see: France", "France"),
        ("us_state", "West Virginia", "West Virginia"),
        ("first_name", "I will say Emma", "Emma"),
        ("card", "The Queen of the Hearts", "queen of hearts"),
        ("card", "A♠", "ace of spades"),
        ("card", "10 ♦", "10 of diamonds"),
        ("rps", "In rock, paper, scissors I throw paper", "paper"),
        ("rps", "Rock-paper-scissors? Scissors!", "scissors"),
        ("coin", "Heads or tails: tails", "tails"),
        ("coin", "The coin stands on its edge", None),
        ("coin", "", None),
    ],
)  # fmt: skip
def test_the_option_that_a_reply_names(task: str, text: str, option: str | None) -> None:
    assert answers(task, text) == [option]


def test_canonical_answers_must_be_the_whole_answer() -> None:
    coin = load("default").tasks["coin"]
    given = pa.array(["Heads", "heads or so", "tail", None], pa.large_string())
    assert canonical(given, coin).to_pylist() == ["heads", None, "tails", None]


def test_a_users_tasks_come_from_one_file(tmp_path: Path) -> None:
    file = tmp_path / "tasks.toml"
    file.write_text(
        '[[task]]\nid = "yes"\noptions = ["yes", "no"]\naliases = { yes = ["yeah"] }\n'
        '[[task]]\nid = "size"\noptions = ["S", "M", "L"]\npositions = [1, 2, 3]\n'
    )
    suite = load(file)
    assert list(suite.tasks) == ["yes", "size"]
    assert suite.tasks["size"].positions == (1.0, 2.0, 3.0)
    assert extract(pa.array(["Yeah!"], pa.large_string()), "short", suite.get("yes")).to_pylist() == ["yes"]
    assert suite.get("coin") is None
    assert load(None).tasks == load("none").tasks == {}


@pytest.mark.parametrize(
    ("toml", "says"),
    [
        ("", "one [[task]] table"),
        ("x = 1", "one [[task]] table"),
        ("[[task]", "not TOML"),
        ('[[task]]\nid = "a"', "options"),
        ('[[task]]\nid = "a"\noptions = ["x"]', "at least two"),
        ('[[task]]\nid = "a"\noptions = ["x", "x"]', "each once"),
        ('[[task]]\nid = "a"\noptions = ["x", "X."]', "two options"),
        ('[[task]]\nid = "a"\noptions = ["x", "+"]', "no word"),
        ('[[task]]\nid = "a"\noptions = ["x", 1]', "str"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\npositions = [1]', "2 numbers"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\npositions = [1, nan]', "finite"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\nperiod = 2', "positions"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\ncolour = "?"', "colour"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\ncommon_words = ["z"]', "common_words"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\n[task.aliases]\nz = ["q"]', "no option"),
        ('[[task]]\nid = ""\noptions = ["x", "y"]', "id"),
        ('[[task]]\nid = "a"\noptions = ["x", "y"]\n' * 2, "twice"),
    ],
)
def test_a_task_that_cannot_be_used_is_refused_with_its_file(toml: str, says: str) -> None:
    with pytest.raises(TaskError) as caught:
        loader.parse(toml.encode(), "mine.toml")
    assert says in str(caught.value)
    assert str(caught.value).startswith("mine.toml")


def test_the_example_of_the_docs_is_a_task_file() -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    example = page.split("```toml\n")[1].split("```")[0]
    size = loader.parse(example.encode(), "docs/tasks.md").tasks["size"]
    texts = pa.array(["Small, medium or large? The big one.", "S"], pa.large_string())
    assert extract(texts, "short", size).to_pylist() == ["large", "small"]


def test_the_docs_know_every_task_and_its_size(default: TaskSuite) -> None:
    page = (Path(__file__).parents[2] / "docs" / "tasks.md").read_text(encoding="utf-8")
    for name, task in default.tasks.items():
        assert f"| `{name}` | {len(task.options)} |" in page


def test_a_missing_task_file_is_refused() -> None:
    with pytest.raises(TaskError, match="cannot be read"):
        load("there/is/no.toml")
