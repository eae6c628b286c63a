"""One stage of training: parameter groups, schedule, best-on-val, checkpoints that resume to the same bits."""

from __future__ import annotations

import math
import time
from pathlib import Path
from typing import Any

from harness import checkpoint
from harness.accumulation import Accumulation
from harness.closed import solve
from harness.collapse import stuck
from harness.errors import Interrupted, TrainingError
from harness.gradients import norms
from harness.inputs import derive, draw_epoch, sent
from harness.protocols import ClosedFormLoss, Reporting
from harness.schedule import build_optimizer, idle_globs, rate_factor
from harness.step import Batch, Step
from harness.tally import STEPS, Tally, flat
from harness.task import State, Task, Trained

CHECKPOINT_SECONDS = 30.0
"""At most this much training is repeated after a kill."""


_UNFITTING = (RuntimeError, ValueError, TypeError, KeyError, AttributeError, TrainingError)


def train(task: Task) -> Trained:
    """Train one stage, or resume it from its checkpoint.

    Raises:
        TrainingError: if the loss is NaN or infinite, with epoch, step and the term; if a gradient is, with the
            parameter; if val embeddings have been collapsed at every look so far, and stay so from one to the next.
        Interrupted: if a signal asked for the end; the checkpoint is on disk.
    """
    closed = {name: loss for name, loss in task.model.losses.items() if isinstance(loss, ClosedFormLoss)}
    if closed:
        return solve(task, closed)
    if task.stage.epochs == 0:
        raise TrainingError(
            f"stage {task.stage.name!r} has 0 epochs and no loss in closed form",
            hint="Set epochs in registry.yaml.",
        )
    return _Training(task).run()


class _Training:
    def __init__(self, task: Task) -> None:
        self.task, self.stage, self.model = task, task.stage, task.model
        self.model.freeze(task.stage.freeze)
        for line in idle_globs(self.model.root, self.stage):
            task.note(line)
        self.optimizer = build_optimizer(self.model.root, self.stage)
        self.team = task.team
        self.step = Step(
            task.model,
            task.images,
            task.split,
            task.texts,
            seed=task.seed,
            numerics=task.numerics,
            team=task.team,
        )
        self.batch = min(self.stage.batch, len(task.split.records))
        if self.batch < self.team.size:
            raise TrainingError(
                f"a batch of {self.batch} images cannot be shared by {self.team.size} devices",
                hint="Raise the stage's batch in registry.yaml, or lower --devices.",
            )
        terms = self.team.terms(self.model.root, self.step.terms)
        self.gradient = Accumulation(self.step, terms, task.parts, self.batch, task.note)
        # A last batch of one would break batch normalisation; it joins the next epoch's draw instead.
        n = len(task.split.records)
        self.steps = n // self.batch if n % self.batch < 2 else math.ceil(n / self.batch)
        self.tally = Tally(str(task.texts.device))
        self.state = State()
        self.saved = self.mark = time.monotonic()

    def run(self) -> Trained:
        with self.team.lead_first():
            resumed = self._resume()
        self._same_start()
        state, stage = self.state, self.stage
        while state.epoch <= stage.epochs:
            self._epoch()
            if stage.patience is not None and state.misses >= stage.patience:
                break
            state.epoch += 1
            state.step, state.sums, state.ranges = 0, {}, {}
            self._pause(finished=state.epoch > stage.epochs)
        self._clock()
        if self.team.lead:
            self.model.load(state.best, self.task.unsaved)
        return Trained(
            state.history, state.best_epoch, state.best_rsum, state.seconds, resumed, parts=state.parts
        )

    def _epoch(self) -> None:
        import torch

        state, task, stage = self.state, self.task, self.stage
        draw = draw_epoch(task.split, views=task.images.views, seed=task.seed, epoch=state.epoch)
        if state.step == 0:
            torch.manual_seed(derive(task.seed, "step", state.epoch))
        first = state.step * self.batch
        last, device = self.steps * self.batch, task.texts.device
        batches = self.team.batches(
            task.images,
            draw.order[first:last],
            draw.views[first:last],
            self.batch,
            derive(task.seed, "pixels", state.epoch),
        )
        captions, groups = sent(draw.captions[first:], device), sent(draw.order[first:], device)
        self.model.root.train()
        for offset, images in enumerate(batches):
            rows = slice(offset * self.batch, min((offset + 1) * self.batch, last - first))
            at = state.epoch - 1 + state.step / self.steps
            factor = rate_factor(stage, at)
            for group in self.optimizer.param_groups:
                group["lr"] = group["base_lr"] * factor
            self._step(Batch(images=images, texts=task.texts[captions[rows]], groups=groups[rows]))
            state.step += 1
            if state.step < self.steps:
                self._pause()
            if state.step % STEPS == 0 or state.step == self.steps:
                self.tally.read(state.sums, state.ranges)
                done = (state.epoch - 1) * self.steps + state.step
                task.progress("train", done, stage.epochs * self.steps, self._note())
        self._close_epoch()

    def _step(self, batch: Batch) -> None:
        import torch

        model, state = self.model, self.state
        self.optimizer.zero_grad(set_to_none=True)
        terms, total = self.gradient.backward(batch, state.epoch, state.step)
        state.parts = max(state.parts, self.gradient.count)
        seen = norms(model.root)
        if self.stage.clip is not None and seen is not None:
            # What clip_grad_norm_ does, to the bit, with the norm that is known.
            torch.nn.utils.clip_grads_with_norm_(model.root.parameters(), self.stage.clip, seen.total)
        self.optimizer.step()
        figures = {
            f"{name}.{key}": figure
            for name, loss in model.losses.items()
            if isinstance(loss, Reporting)
            for key, figure in loss.figures().items()
        }
        self.tally.add(
            state.epoch,
            state.step + 1,
            {**terms, **figures, "loss": total},
            frozenset(terms),
            self.step.doubts(),
            seen,
        )
        if self.tally.due:
            self.tally.read(state.sums, state.ranges)

    def _close_epoch(self) -> None:
        state, stage = self.state, self.stage
        row = {"epoch": float(state.epoch), "rate": rate_factor(stage, state.epoch - 1)}
        row |= {key: total / self.steps for key, total in state.sums.items()}
        # A loss that stands still may have collapsed: that is looked for in between, too, until a look shows life.
        doubtful = flat(state.ranges) and not state.alive
        due = state.epoch % stage.evaluate_every == 0 or state.epoch == stage.epochs
        seen = self._look() if self.team.lead and (due or doubtful) else 0.0
        if due:
            (rsum,) = self.team.agree(seen)
            row["val.rsum"] = rsum
            if rsum > state.best_rsum:
                state.best_rsum, state.best_epoch, state.misses = rsum, state.epoch, 0
                if self.team.lead:
                    state.best = {k: v.cpu().clone() for k, v in self.model.state(self.task.unsaved).items()}
            else:
                state.misses += 1
        self._clock()
        row["seconds"] = state.seconds
        state.history.append(row)

    def _look(self) -> float:
        """Look at val; return its rSum.

        Raises:
            TrainingError: if the same paths were collapsed at the look before, stay so, and no look found none to be.
                A training that learned before it collapsed goes on: its best weights are worth keeping.
        """
        state, look = self.state, self.task.validate()
        state.alive = state.alive or not look.same
        sides = "" if state.alive else stuck(state.same, look.same)
        state.same = dict(look.same)
        if sides:
            raise TrainingError(
                f"collapse: every val {sides} has the same embedding, in epoch {state.epoch} as at the look before, "
                f"and they do not move apart; the loss stands at {state.sums['loss'] / self.steps:.4g}",
                hint="Lower the stage's lr, set clip, take other negatives, or start from another stage (after).",
            )
        return look.rsum

    def _clock(self) -> None:
        now = time.monotonic()
        self.state.seconds += now - self.mark
        self.mark = now

    def _note(self) -> str:
        state = self.state
        note = f"epoch {state.epoch}/{self.stage.epochs}  loss {state.sums['loss'] / state.step:.3f}"
        return f"{note}  best val rSum {state.best_rsum:.1f}" if state.best_epoch else note

    def _pause(self, *, finished: bool = False) -> None:
        """Write a checkpoint when one is due, or when a signal asks for the end."""
        # Of several processes each waits for the first one's answer: for those with a GPU, now and then.
        if self.team.size > 1 and self.state.step % self.tally.every:
            return
        signal = int(self.team.agree(self.task.stopping())[0])
        if signal or (not finished and time.monotonic() - self.saved >= CHECKPOINT_SECONDS):
            self.tally.read(self.state.sums, self.state.ranges)
            self._clock()
            self._save()
            self.saved = time.monotonic()
        if signal:
            raise Interrupted(signal)

    def _save(self) -> None:
        import torch

        if not self.team.lead:
            return
        state = self.state
        content = {
            "state": dict(vars(state)),
            "model": self.model.state(self.task.unsaved),
            "optimizer": self.optimizer.state_dict(),
            "random": torch.get_rng_state(),
            "cuda": torch.cuda.get_rng_state_all() if torch.cuda.is_available() else [],
        }
        checkpoint.save(self.task.checkpoint, content)

    def _resume(self) -> int:
        """Go on from the newest checkpoint that can be read and fits; return the number of finished epochs in it."""
        unsaved = self.task.unsaved
        start: dict[str, Any] = {}
        for file, another, content in checkpoint.candidates(self.task.checkpoint, self._refuse):
            start = start or {name: t.clone() for name, t in self.model.state(unsaved).items()}
            try:
                return self._restore(content)
            except _UNFITTING as error:
                self.model.load(start, unsaved)
                self.optimizer = build_optimizer(self.model.root, self.stage)
                self._refuse(file, (str(error) or type(error).__name__).splitlines()[0], another)
        return 0

    def _same_start(self) -> None:
        """Hold all processes to the checkpoint that the first one read.

        Raises:
            TrainingError: if this one read another.
        """
        own = (float(self.state.epoch), float(self.state.step))
        if (led := self.team.agree(*own)) != own:
            raise TrainingError(
                f"process {self.team.rank} would go on at epoch and step {own}, the first process at {led}",
                hint=f"Give the same command without --devices, or delete {self.task.checkpoint.parent} to begin anew.",
            )

    def _refuse(self, path: Path, cause: str, another: bool) -> None:
        if not self.team.lead:
            raise TrainingError(
                f"process {self.team.rank} cannot resume from {path}: {cause}",
                hint="Give the same command without --devices, or delete that file to go on without it.",
            )
        path.unlink(missing_ok=True)
        then = "the one before it is tried" if another else "the run starts anew"
        self.task.note(f"cannot resume from {path} ({cause}); {then}")

    def _restore(self, content: dict[str, Any]) -> int:
        import torch

        state = State(**content["state"])
        random, cuda = content["random"], content["cuda"]
        self.model.load(content["model"], self.task.unsaved)
        self.optimizer.load_state_dict(content["optimizer"])
        torch.set_rng_state(random)
        if cuda and torch.cuda.is_available():
            torch.cuda.set_rng_state_all(cuda[: torch.cuda.device_count()])
        self.state = state
        self.gradient.go_on(state.parts)
        self.task.note(f"resumed in epoch {state.epoch} of {self.stage.epochs}")
        return state.epoch - 1
