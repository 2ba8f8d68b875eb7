"""Writes declared.json: what scikit-learn, sacrebleu and scipy say of the metrics that declared tasks may name.

Run:  pip install scikit-learn==1.9.1 sacrebleu==2.6.0 scipy==1.16.3
      python make_declared.py
"""

import json
import random
from pathlib import Path

from sacrebleu.metrics import BLEU
from scipy.stats import pearsonr, spearmanr
from sklearn.metrics import accuracy_score, f1_score, matthews_corrcoef, precision_recall_fscore_support

RANDOM = random.Random(2022)
WORDS = (
    "the cat, dog. U.S. it's state-of-the-art 3.14 1,000 1990-1995 7-8 x-9 café naïve 東京 日本。 &amp; &quot;a&quot; &lt;b&gt; & "
    "a<skipped>b (so) [it] {is} a/b a\\b ^ ` ~ @you #1 $5 50% ! ? ; : - -- … “quoted” \u00a0 ,, .. .5 5. -\n \n"
).split(" ")


def labels():
    cases = []
    for known in (["a", "b"], ["bad", "fair", "good"], ["x", "y", "z", "w"]):
        for junk in ([], [""]):
            for skew in (False, True):
                used = known[:-1] if skew else known
                gold = [RANDOM.choice(used) for _ in range(30)]
                predicted = [g if RANDOM.random() < 0.5 else RANDOM.choice(known + junk) for g in gold]
                rows = precision_recall_fscore_support(gold, predicted, labels=known, zero_division=0)
                cases.append({
                    "labels": known, "gold": gold, "predicted": predicted,
                    "accuracy": 100 * float(accuracy_score(gold, predicted)),
                    "macro_f1": 100 * float(f1_score(gold, predicted, labels=known, average="macro", zero_division=0)),
                    "mcc": 100 * float(matthews_corrcoef(gold, predicted)),
                    "by_label": [[100 * float(p), 100 * float(r), 100 * float(f), int(s)] for p, r, f, s in zip(*rows)],
                })
    constant = {"labels": ["a", "b"], "gold": ["a"] * 4, "predicted": ["a"] * 4}
    cases.append(constant | {"accuracy": 100.0, "macro_f1": 50.0, "mcc": 0.0,
                             "by_label": [[100.0, 100.0, 100.0, 4], [0.0, 0.0, 0.0, 0]]})
    return cases


def text(most):
    return "".join(RANDOM.choice(WORDS) + RANDOM.choice([" ", " ", "  ", ""]) for _ in range(RANDOM.randrange(most + 1)))


def bleus():
    bleu = BLEU()
    cases = []
    for rows, most in ((1, 8), (1, 30), (3, 12), (10, 20), (2, 3), (5, 1)):
        for _ in range(6):
            gold = [text(most) for _ in range(rows)]
            predicted = []
            for line in gold:
                words = line.split(" ")
                for _ in range(RANDOM.randrange(4)):
                    words[RANDOM.randrange(len(words))] = RANDOM.choice(WORDS)
                predicted.append(" ".join(words[:RANDOM.randrange(len(words) + 1)] if RANDOM.random() < 0.3 else words))
            cases.append({"gold": gold, "predicted": predicted, "bleu": bleu.corpus_score(predicted, [gold]).score})
    return cases


def correlations():
    cases = []
    for count in (2, 3, 10, 40):
        for ties in (False, True):
            x = [RANDOM.randrange(5) if ties else round(RANDOM.uniform(-3, 8), 3) for _ in range(count)]
            y = [round(value + RANDOM.gauss(0, 2), 0 if ties else 3) for value in x]
            if len(set(x)) == 1 or len(set(y)) == 1:
                continue
            cases.append({"pairs": list(zip(x, y)), "pearson": float(pearsonr(x, y).statistic),
                          "spearman": float(spearmanr(x, y).statistic)})
    return cases


if __name__ == "__main__":
    fixtures = {"labels": labels(), "bleu": bleus(), "correlations": correlations()}
    path = Path(__file__).with_name("declared.json")
    path.write_text(json.dumps(fixtures, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")
