"""The page of an exercise in a real browser: it says what Python's `check` says, with the keyboard alone."""

import random

import pytest

from micrograd_mlp import Value, exercises
from tests.browser.chromium import Page, chromium, missing, prefer

pytest.importorskip("selenium", reason='needs selenium: pip install "micrograd_mlp[browser]"')
pytestmark = pytest.mark.skipif(missing() is not None, reason=str(missing()))

TAB, ENTER = "\ue004", "\ue007"

# Everything that the page says, in one question.
SAYS = """
    const root = arguments[0].shadowRoot;
    const rows = [...root.querySelectorAll("tbody tr")];
    const name = (row) => row.querySelector("th").textContent;
    const remark = (row) => row.querySelector(".remark").textContent;
    return {
      states: Object.fromEntries(rows.map((row) => [name(row), row.className])),
      remarks: Object.fromEntries(rows.filter(remark).map((row) => [name(row), remark(row)])),
      summary: root.querySelector(".summary").textContent,
    };
"""
FILL = """
    const root = arguments[0].shadowRoot;
    for (const row of root.querySelectorAll("tbody tr"))
      row.querySelector("input").value = arguments[1][row.querySelector("th").textContent] || "";
    root.querySelector(".bar button").click();
"""


class ExercisePage(Page):
    """The fields, what stands beside them, and the line below."""

    def fill(self, numbers):
        """Text into fields by the names of their nodes, nothing into all others; then Check."""
        self.run(FILL, self.host, numbers)
        return self.says()

    def says(self):
        return self.run(SAYS, self.host)


@pytest.fixture(scope="module")
def driver():
    with chromium(width=1100, height=1000) as driver:
        yield driver


@pytest.fixture
def opened(driver, tmp_path):
    def open_page(exercise):
        exercise.save(tmp_path / "exercise.html")
        return ExercisePage(driver, tmp_path / "exercise.html")

    return open_page


def answers(exercise, generator):
    """The right numbers, those of mistakes, and mixtures, each with many digits and with few."""
    right = exercise._backward.gradients()
    wrong = generator.sample(exercise._outcomes, 12)
    mixed = [[generator.choice(pair) for pair in zip(right, other, strict=True)] for other in wrong[:6]]
    unknown = [[x * generator.choice([1, 1, 3, -1, 1.37]) for x in right] for _ in range(6)]
    for gradients in (right, *wrong, *mixed, *unknown):
        for digits in (2, 4, 17):
            yield {
                name: f"{gradients[i]:.{digits}g}"
                for name, i in zip(exercise.names, exercise._asked, strict=True)
            }
    yield dict.fromkeys(exercise.names[:2], "2/3")


def summary_of(exercise, verdict):
    """The line below the fields: how many are right, and the mistakes that give all numbers."""
    if verdict:
        return f"right: all {len(exercise.names)} gradients"
    first, *others = verdict.text.splitlines()
    how_many = first.partition(" right")[0] + " right."
    return f"{how_many} {others[0]}" if verdict.mistakes else how_many


@pytest.mark.parametrize(
    "make",
    [
        pytest.param(lambda: exercises.fill_in_the_gradients(1), id="graph"),
        pytest.param(lambda: exercises.fill_in_the_gradients(6, n_nodes=10), id="larger"),
        pytest.param(lambda: exercises.fill_in_a_network(4, [2, 2, 1], n_examples=2), id="network"),
    ],
)
def test_the_page_says_what_python_says(opened, make):
    exercise = make()
    page = opened(exercise)
    seen = set()
    for given in answers(exercise, random.Random(1)):
        verdict = exercise.check(given)
        says = page.fill(given)
        assert set(says["states"]) == set(exercise.names)
        assert says["remarks"] == verdict.remarks
        assert says["summary"] == summary_of(exercise, verdict)
        marked = [name for name, state in says["states"].items() if state == "right"]
        assert len(marked) == (len(exercise.names) if verdict else int(verdict.text.split()[2]))
        seen.update(says["states"].values())
    assert seen >= {"right", "wrong", ""}
    assert page.complaints() == []
    assert all(url.startswith(("file:", "data:")) for url in page.requests())


def test_right_numbers_with_the_digits_of_a_mistake_are_marked_as_unclear(opened):
    x = Value(0.995, "x")
    exercise = exercises.gradients(x**2, of=[x])
    says = opened(exercise).fill({"x": "2.0"})
    assert says["states"] == {"x": "unclear"}
    assert says["remarks"] == exercise.check("2.0").remarks
    assert says["summary"] == "not yet."


def test_with_the_keyboard_alone(opened):
    x, y = Value(3.0, "x"), Value(-2.0, "y")
    page = opened(exercises.gradients((x * y).exp() * x, of=["v1", x]))
    page.press(TAB, "0.007436", ENTER)  # 3 e⁻⁶
    assert page.says()["states"] == {"v1": "right", "x": ""}
    page.press("abc", ENTER)  # Enter has gone on to the next field
    assert page.says()["remarks"] == {"x": "This is not a number: write 0.25, -3, 1e-4 or 2/3."}
    assert page.says()["states"] == {"v1": "right", "x": "wrong"}
    assert page.all("input")[1].get_attribute("aria-invalid") == "true"
    page.press(TAB, ENTER, TAB, *[ENTER] * 6)  # Check, and all hints
    assert page.find(".hints li").text.startswith("Start at the output")
    assert page.says()["summary"] == "That was the last hint: the solution shows the whole way."
    page.press(TAB, ENTER)
    assert page.all("pre")[-1].text.startswith("∂f/∂f = 1")
    page.press(ENTER)
    assert not page.all("pre")[-1].is_displayed()


def test_another_exercise(opened):
    exercise = exercises.fill_in_the_gradients(1)
    page = opened(exercise)
    assert "Exercise 1 of 12" in page.find(".bar").text
    page.fill(dict.fromkeys(exercise.names, "1"))
    page.all(".bar button")[-1].click()
    following = exercise.another()
    assert page.find(".task").text == following.task
    assert page.says()["summary"] == ""
    gradients = following._backward.gradients()
    right = {name: str(gradients[i]) for name, i in zip(following.names, following._asked, strict=True)}
    assert page.fill(right)["summary"] == "right: all 6 gradients"


@pytest.mark.parametrize(("theme", "background"), [("light", "255, 255, 255"), ("dark", "23, 26, 33")])
def test_light_and_dark(opened, driver, theme, background):
    page = opened(exercises.fill_in_the_gradients(2))
    prefer(driver, color_scheme=theme)
    page.wait_for_frame()
    assert background in page.find(".card").value_of_css_property("background-color")


def test_fields_and_pictures_have_names(opened):
    exercise = exercises.fill_in_the_gradients(2)
    page = opened(exercise)
    names = [field.accessible_name for field in page.all("input")]
    assert names == [f"Gradient of {name}" for name in exercise.names]
    assert page.find("img").get_attribute("alt").startswith("The graph. Fill in the gradient")
    assert page.find(".summary").get_attribute("role") == "status"


def test_names_are_shown_as_they_are(opened):
    x = Value(2.0, "<b>&</b>")
    says = opened(exercises.gradients(x * x, of=[x])).fill({"<b>&</b>": "4"})
    assert says["states"] == {"<b>&</b>": "right"}
    assert says["summary"] == "right"
