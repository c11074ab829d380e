"""MuJoCo's environments: their state and their physics are MuJoCo's."""

from __future__ import annotations

from typing import Any

import numpy as np

from envhub._headless import opengl_errors
from envhub.host import plain, unrounded
from envhub.params import named_params

from .instances import GymnasiumInstance

# The physics of MuJoCo's model, in its units: gravity, float32[3], m/s²; the masses of the bodies,
# the world first, float32[nbody], kg; and the sliding, torsional and rolling friction of each geom,
# float32[ngeom, 3].
PHYSICS = ("gravity", "body_mass", "geom_friction")


class MujocoInstance(GymnasiumInstance):
    """MuJoCo: the integration state, and two arrays that rewards read before they are renewed."""

    def __init__(self, env: Any) -> None:
        super().__init__(env)
        import mujoco

        self._mujoco, self._model, self._data = mujoco, self.inner.model, self.inner.data
        self._signature = int(mujoco.mjtState.mjSTATE_INTEGRATION)
        self._size = mujoco.mj_stateSize(self._model, self._signature)
        self._lagged = (self._data.xpos, self._data.xipos)
        self._physics = (self._model.opt.gravity, self._model.body_mass, self._model.geom_friction)
        self._exact = [np.array(each) for each in self._physics]
        self.default_params = named_params("Mujoco", PHYSICS, self._exact)

    def save(self) -> bytes:
        state = np.empty(self._size)
        self._mujoco.mj_getState(self._model, self._data, state, self._signature)
        elapsed = plain.dump([self.elapsed])
        return b"".join([state.tobytes(), *[each.tobytes() for each in self._lagged], elapsed])

    def restore(self, saved: bytes, obs: Any) -> None:
        self.reset_once()
        numbers = np.frombuffer(saved, np.float64, self._size + sum(x.size for x in self._lagged))
        state = numbers[: self._size].copy()  # mujoco 3.2 takes no read-only array
        self._mujoco.mj_setState(self._model, self._data, state, self._signature)
        start = self._size
        for each in self._lagged:
            each[:] = numbers[start : start + each.size].reshape(each.shape)
            start += each.size
        (self.elapsed,) = plain.load(saved[numbers.nbytes :])

    def set_params(self, values: np.ndarray[Any, Any]) -> None:
        start = 0
        for array, exact in zip(self._physics, self._exact, strict=True):
            new = values[start : start + exact.size].reshape(exact.shape)
            array[:] = unrounded(new, exact)
            start += exact.size

    def render(self) -> Any:
        before = self.save()
        self._mujoco.mj_forward(self._model, self._data)  # where the bodies are drawn
        with opengl_errors():
            picture = super().render()
        self.restore(before, None)
        return picture
