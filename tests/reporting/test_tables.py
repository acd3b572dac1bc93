from aeros_core.reporting.tables import table


def test_numbers_stand_right_words_left_and_what_is_missing_is_empty():
    rows = [
        {"run": "0", "collector": "mean", "loss": 0.5, "rounds": 10},
        {"run": "long", "loss": 12.25, "rounds": 3},
    ]
    assert table(rows, ["run", "collector", "loss", "rounds"]).splitlines() == [
        "run   collector     loss  rounds",
        "0     mean        0.5000      10",
        "long             12.2500       3",
    ]


def test_without_rows_the_heading_stands_alone():
    assert table([], ["name", "version"]) == "name  version"


def test_a_column_with_a_word_in_it_stands_left():
    assert table([{"a": 1}, {"a": "none"}], ["a"]).splitlines() == ["a", "1", "none"]


def test_columns_are_shown_in_the_order_asked_for():
    assert table([{"a": 1, "b": 2, "c": 3}], ["c", "a"]).splitlines() == ["c  a", "3  1"]
