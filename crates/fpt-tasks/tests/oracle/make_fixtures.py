"""Writes metrics.json: what the reference implementations of our metrics say about odd texts.

Run:  pip install rouge-score==0.1.2 rouge==1.0.1 scikit-learn==1.9.1 transformers==4.57.1 torch==2.11.0
      python make_fixtures.py
"""

import json
import random
import re
from collections import Counter
from pathlib import Path

from rouge import Rouge
from rouge_score.rouge_scorer import RougeScorer
from sklearn.metrics import accuracy_score, f1_score
from transformers.data.metrics import squad_metrics
from transformers.data.processors.squad import SquadExample

RANDOM = random.Random(2022)
WORDS = (
    "the a an The A AN cat Cat cats dog, dog. U.S. it's state-of-the-art 3.14 1,000 café Café naïve "
    "über STRASSE straße Ἀθῆναι ΣΑΣ 東京 日本 İstanbul ﬁne K no answer No Answer is_duplicate _a_ a_b 'a' \"the\" "
    "e\u0301t a² – … “quoted” £5 \u00a0 \u200b \u2003 @placeholder <unk> [SEP] . .. ... ? ! ; \t"
).split(" ")
EDGES = ["", " ", ".", "...", "a", "the", "the a an", "?!", "no answer", "No answer.", "\n", "a\nb", "é", "東京",
         "a. b. c.", " . . ", "x\n\ny", "\u001fa\u001fb", "a b a b a b", "b a b a"]


def text(most=12, breaks=True):
    words = [RANDOM.choice(WORDS) for _ in range(RANDOM.randrange(most + 1))]
    joints = [" ", " ", " ", "  ", ". "] + (["\n"] if breaks else [])
    return "".join(word + RANDOM.choice(joints) for word in words)


def variant(original):
    """Similar enough to score between 0 and 1."""
    words = original.split(" ")
    for _ in range(RANDOM.randrange(4)):
        at = RANDOM.randrange(len(words))
        words[at:at + RANDOM.randrange(2)] = [RANDOM.choice(WORDS + words)]
    if RANDOM.random() < 0.2:
        RANDOM.shuffle(words)
    return " ".join(words)


def pair():
    gold = RANDOM.choice(EDGES) if RANDOM.random() < 0.2 else text()
    prediction = RANDOM.choice(EDGES) if RANDOM.random() < 0.15 else variant(gold)
    return gold, prediction


def classification():
    cases = []
    for labels in (["not_duplicate", "is_duplicate"], ["not_duplicate"], ["is_duplicate"]):
        for junk in ([], ["maybe", ""]):
            gold = [RANDOM.choice(labels) for _ in range(40)]
            predicted = [RANDOM.choice(["not_duplicate", "is_duplicate"] + junk) for _ in gold]
            known = [p if p in ("not_duplicate", "is_duplicate") else "is_duplicate" for p in predicted]
            positive = [g == "is_duplicate" for g in gold]
            cases.append({
                "gold": gold,
                "predicted": predicted,
                "accuracy": 100 * float(accuracy_score(gold, predicted)),
                "f1": 100 * float(f1_score(positive, [p == "is_duplicate" for p in predicted], zero_division=0)),
                # The authors take every unknown label for the positive one.
                "paper_f1": 100 * float(f1_score(gold, known, pos_label="is_duplicate", zero_division=0)),
            })
    return cases


def squad():
    questions = []
    for number in range(120):
        answers = [] if RANDOM.random() < 0.3 else [text(4, False) for _ in range(RANDOM.randrange(1, 4))]
        answers = list(dict.fromkeys(answers))
        prediction = RANDOM.choice([variant(RANDOM.choice(answers)) if answers else "", "no answer", text(3, False)])
        questions.append({"id": str(number), "answers": answers, "prediction": prediction})
    examples = [
        SquadExample(q["id"], "", "", None, None, "", [{"text": a} for a in q["answers"]], not q["answers"])
        for q in questions
    ]
    # What is generated when there is no answer stands for the official empty string.
    predictions = {
        q["id"]: "" if q["prediction"].strip() == "no answer" else q["prediction"].strip() for q in questions
    }
    official = squad_metrics.squad_evaluate(examples, predictions)
    firsts = [(q["answers"] or ["no answer"])[0].strip() for q in questions]
    golds = [[a.strip() for a in q["answers"]] or ["no answer"] for q in questions]
    raw = [q["prediction"].strip() for q in questions]
    return {
        "questions": questions,
        "scores": {
            "em": official["exact"],
            "f1": official["f1"],
            "has_ans_em": official["HasAns_exact"],
            "has_ans_f1": official["HasAns_f1"],
            "no_ans_em": official["NoAns_exact"],
            "no_ans_f1": official["NoAns_f1"],
            "paper_em": 100 * sum(p in g for p, g in zip(raw, golds)) / len(raw),
            "paper_accuracy": 100 * float(accuracy_score(firsts, raw)),
            "paper_f1": 100 * float(f1_score([f != "no answer" for f in firsts], [p != "no answer" for p in raw])),
        },
    }


def overlap_f1(gold, predicted):
    """The word F1 of SQuAD 1.1, which ReCoRD's evaluation takes over."""
    same = sum((Counter(gold) & Counter(predicted)).values())
    if same == 0:
        return 0.0
    precision, recall = same / len(predicted), same / len(gold)
    return 2 * precision * recall / (precision + recall)


def answer_pairs():
    cases = []
    for gold, prediction in [(e, p) for e in EDGES for p in EDGES[:6]] + [pair() for _ in range(150)]:
        normal_gold = squad_metrics.normalize_answer(gold)
        normal_prediction = squad_metrics.normalize_answer(prediction)
        cases.append({
            "gold": gold,
            "prediction": prediction,
            "normalized": normal_gold,
            "exact": squad_metrics.compute_exact(gold, prediction),
            "squad_f1": squad_metrics.compute_f1(gold, prediction),
            "record_f1": overlap_f1(normal_gold.split(), normal_prediction.split()),
            "paper_word_f1": 0.0 if prediction == "no answer" else overlap_f1(gold.split(), prediction.split()),
        })
    return cases


def lines():
    """Few words in many lines: many subsequences of equal length, whose choice shows in ROUGE-Lsum."""
    return "\n".join(" ".join(RANDOM.choices("abcd", k=RANDOM.randrange(7))) for _ in range(RANDOM.randrange(1, 5)))


def rouges():
    kinds = ["rouge1", "rouge2", "rougeL", "rougeLsum"]
    scorer = RougeScorer(kinds)
    package = Rouge()
    cases = []
    pairs = [(e, p) for e in EDGES for p in EDGES[::3]] + [pair() for _ in range(200)]
    pairs += [(lines(), lines()) for _ in range(100)]
    for gold, prediction in pairs:
        scores = scorer.score(gold, prediction)
        # The package refuses texts without a sentence; the authors' copy gives 0.
        sentences = [any(part for part in t.split(".")) for t in (gold, prediction)]
        paper = package.get_scores(prediction, gold)[0] if all(sentences) else None
        cases.append({
            "gold": gold,
            "prediction": prediction,
            "rouge": [float(scores[kind].fmeasure) for kind in kinds],
            "paper": [paper[k]["f"] if paper else 0.0 for k in ("rouge-1", "rouge-2", "rouge-l")],
        })
    return cases


def passages():
    """The authors' two substitutions on ReCoRD passages, and their full stop."""
    cases = []
    for _ in range(60):
        parts = [RANDOM.choice(["One", "Two.", "é?", "“Three”", 'Four"', "'Five'", "", "\n", "!", "@highlight\n"])
                 for _ in range(RANDOM.randrange(1, 7))]
        passage = "".join(part + RANDOM.choice(["\n@highlight\n", "\n@highlight\n", " "]) for part in parts)
        plain = re.sub(r"(\.|\?|\!|\"|\')\n@highlight\n", lambda match: match.group(1) + " ", passage)
        plain = re.sub(r"\n@highlight\n", ". ", plain)
        if plain[-1] not in {".", '"', "'", "?", "!"}:
            plain += "."
        cases.append({"passage": passage, "plain": plain})
    return cases


if __name__ == "__main__":
    fixtures = {
        "classification": classification(),
        "squad": squad(),
        "answers": answer_pairs(),
        "rouge": rouges(),
        "passages": passages(),
    }
    path = Path(__file__).with_name("metrics.json")
    path.write_text(json.dumps(fixtures, ensure_ascii=False, separators=(",", ":")) + "\n", encoding="utf-8")
    print(path, path.stat().st_size, "bytes")
