"""`playground` and the command `play`: what the page is given, and what is refused."""

import re
import webbrowser

import pytest

from micrograd_mlp import MLP, Adam, datasets, playground
from micrograd_mlp.app.cli import main
from micrograd_mlp.app.play_command import _points as _table_points
from micrograd_mlp.app.playground import _points
from micrograd_mlp.nn.activations import ACTIVATIONS
from micrograd_mlp.nn.initializers import INITIALIZERS

SQUARE = [[0.0, 0.0], [0.0, 1.0], [1.0, 0.0], [1.0, 1.0]]


class TestThePage:
    def test_opens_with_moons_and_the_network_of_the_seed(self):
        page = playground(hidden=[3], activation="relu", seed=5)
        assert repr(page) == '<Playground: 2-3-1 on 200 points; .save("playground.html") .html()>'
        assert page.model.state_dict() == MLP(2, [3, 1], activation="relu", seed=5).state_dict()

    def test_has_an_output_for_each_of_several_classes(self):
        X, y = datasets.spirals(30, n_classes=3, seed=0)
        assert "2-4-4-3 on 30 points" in repr(playground(X, y))

    def test_is_one_file_that_loads_nothing(self, tmp_path):
        playground().save(tmp_path / "page.html")
        page = (tmp_path / "page.html").read_text(encoding="utf-8")
        assert "default-src 'none'" in page
        assert not re.search(r"""(src|href)=["'](?!data:)""", page)
        assert "/* script */" not in page

    def test_knows_every_activation_initializer_and_optimizer(self):
        page = playground().html()
        for name in (*ACTIVATIONS, *INITIALIZERS, "SGD", "Momentum", "RMSProp", "Adam"):
            assert re.search(rf"^  {name}: ", page, re.MULTILINE), name

    def test_takes_the_packages_default_settings(self):
        page = playground(optimizer="Adam")
        assert page._settings["hyperparameters"]["beta2"] == Adam(page.model.parameters()).beta2

    def test_in_a_notebook_is_a_frame_and_without_scripts_a_picture(self):
        shown = playground(SQUARE, [0, 1, 1, 0])._repr_mimebundle_()
        assert '<img alt="Run this cell' in shown["text/html"]
        assert "srcdoc" in shown["text/html"]
        assert shown["text/plain"].startswith("<Playground")

    def test_text_of_the_user_ends_no_script(self):
        page = playground(SQUARE, ["</script><b>", "a", "a", "</script><b>"])
        assert "</script><b>" not in page.html()
        assert page._repr_mimebundle_()["text/html"].count("</script>") == 1


class TestTargets:
    @pytest.mark.parametrize(
        ("y", "indices", "classes"),
        [
            ([0, 1, 1, 0], [0, 1, 1, 0], ["class 0", "class 1"]),
            ([-1, 1, 1, -1], [0, 1, 1, 0], ["class -1", "class 1"]),
            ([2.0, 5.0, 7.0, 2.0], [0, 1, 2, 0], ["class 2", "class 5", "class 7"]),
            (["b", "a", "a", "b"], [1, 0, 0, 1], ["a", "b"]),
        ],
    )
    def test_few_whole_numbers_and_text_are_classes(self, y, indices, classes):
        points = _points(SQUARE, y)
        assert (points.y, points.classes) == (indices, classes)

    @pytest.mark.parametrize("y", [[0.5, 1.0, 2.0, 3.0], [1, 1, 1, 1]])
    def test_other_numbers_are_for_a_regression(self, y):
        points = _points(SQUARE, y)
        assert (points.y, points.classes) == ([float(number) for number in y], None)

    def test_arrays_will_do(self):
        np = pytest.importorskip("numpy")
        points = _points(np.array(SQUARE), np.array([0, 1, 1, 0]))
        assert (points.X, points.y) == (SQUARE, [0, 1, 1, 0])


@pytest.mark.parametrize(
    ("X", "y", "message"),
    [
        (SQUARE, None, "takes X and y together"),
        ([[1.0, 2.0, 3.0]] * 2, [0, 1], r"X\[0\] has 3 numbers; a point of the plane has 2"),
        ([[1.0, 2.0]], [0], "takes 2 to 5,000 points, got 1"),
        (SQUARE, ["a", "b", 1, 2], "y holds text and numbers"),
        ([[0.0, float(k)] for k in range(7)], list("abcdefg"), "7 classes; the page shows 2 to 6"),
        (SQUARE, ["a"] * 4, "1 classes; the page shows 2 to 6"),
        (SQUARE, [0, 1], "4"),
    ],
)
def test_points_that_do_not_fit_are_refused(X, y, message):
    with pytest.raises(ValueError, match=message):
        playground(X, y)


@pytest.mark.parametrize(
    ("settings", "message"),
    [
        ({"activation": "rleu"}, "rleu.*did you mean 'relu'|rleu.*relu"),
        ({"init": "zeros"}, "zeros"),
        ({"optimizer": "Adm"}, "Adm"),
        ({"lr": -0.1}, "lr must be"),
        ({"l2": -1.0}, "l2 must be"),
        ({"test_share": 0.9}, "test_share must be"),
        ({"batch_size": 0}, "batch_size must be"),
        ({"seed": -1}, "seed must be"),
        ({"hidden": [3] * 7}, "room for 6 hidden layers, got 7"),
    ],
)
def test_settings_out_of_range_are_refused(settings, message):
    with pytest.raises(ValueError, match=message):
        playground(**settings)


def test_another_ending_is_refused(tmp_path):
    with pytest.raises(ValueError, match=r"is saved as \.html"):
        playground().save(tmp_path / "page.txt")


class TestTheCommand:
    @pytest.fixture(autouse=True)
    def opened(self, tmp_path, monkeypatch):
        monkeypatch.chdir(tmp_path)
        addresses = []
        monkeypatch.setattr(webbrowser, "open", lambda address: addresses.append(address) or False)
        return addresses

    def test_writes_the_page_and_opens_it(self, tmp_path, opened, capsys):
        assert main(["play"]) == 0
        assert (tmp_path / "playground.html").exists()
        assert opened == [(tmp_path / "playground.html").as_uri()]
        assert "there is none that could be started" in capsys.readouterr().out

    def test_opens_nothing_unasked(self, tmp_path, opened):
        assert main(["play", "--out", "p.html", "--no-browser"]) == 0
        assert (tmp_path / "p.html").exists()
        assert not opened

    def test_takes_a_table(self, tmp_path):
        pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
        (tmp_path / "t.csv").write_text("a,b,word,kind\n0,0,u,x\n0,1,v,y\n1,0,u,y\n1,1,v,x\n,2,u,y\n")
        assert main(["play", "t.csv", "--target", "kind", "--no-browser"]) == 0
        page = (tmp_path / "playground.html").read_text(encoding="utf-8")
        assert '"classes": ["x", "y"]' in page
        assert "on 4 points" in repr(playground(*_table_points(tmp_path / "t.csv", "kind")))

    @pytest.mark.parametrize(
        ("table", "arguments", "message"),
        [
            ("a,b,y\n1,2,0\n2,1,1\n", [], "name the column to predict with --target"),
            (
                "a,b,c,y\n" + "5,2,3,0\n2,1,4,1\n" * 2,
                ["--target", "y"],
                "two columns of numbers besides y",
            ),
        ],
    )
    def test_says_what_is_wrong_with_a_table(self, tmp_path, capsys, table, arguments, message):
        pytest.importorskip("pandas", reason='needs pip install "micrograd_mlp[table]"')
        (tmp_path / "t.csv").write_text(table)
        assert main(["play", "t.csv", *arguments]) == 2
        assert message in capsys.readouterr().err
