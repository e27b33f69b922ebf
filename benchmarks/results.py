"""Make the pages below docs/results/ again, each from the file of saved runs beside it: `python -m benchmarks.results`.

What a person wrote around the tables stays. `fedphd compare FOLDER --save docs/results/NAME.json` makes such a file.
"""

from pathlib import Path

from fedphd.launch.compare.budget import Budget
from fedphd.launch.compare.comparison import Comparison, compare
from fedphd.launch.compare.cut import Cut, cut
from fedphd.launch.compare.goal import Goal
from fedphd.launch.compare.page import write_page

RESULTS = Path(__file__).parents[1] / "docs" / "results"
GOAL = 2.0  # times the best mean quality of a row in between: near enough to the best that most rows get there


def cuts(comparison: Comparison) -> list[Cut]:
    """Compare at equal client epochs too, and when runs first were as good as twice the best row."""
    best = min(row.curve[-2].quality.mean for row in comparison.configurations if len(row.curve) > 1)
    return [cut(comparison, Budget("client_epochs", None)), cut(comparison, Goal(round(GOAL * best, 1)))]


def main() -> None:
    """Write the pages."""
    for saved in sorted(RESULTS.glob("*.json")):
        comparison = compare([saved])
        write_page(comparison, saved.with_suffix(".md"), saved.stem.replace("_", " ").capitalize(), cuts(comparison))
        print(saved.with_suffix(".md"))


if __name__ == "__main__":
    main()
