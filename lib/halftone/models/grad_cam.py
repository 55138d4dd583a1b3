"""Grad-CAM: which places of an image speak for a class.

"Grad-CAM: Visual Explanations from Deep Networks via Gradient-based Localization" (Selvaraju et
al., 2017, section 3): the score y of a class has a gradient by each value of the last feature maps
A_k. Its mean over all places is the weight of the map (equation 1), and the result is
ReLU(sum over k of weight_k * A_k) (equation 2).

The last feature maps are the last output (N, H, W, K) of a layer, with more than one place, that
comes after a layer with a kernel: often behind the last pooling or activation. The score is what
softmax or sigmoid is applied to. With one sigmoid for two classes it is that value for the second
class, and its negative for the first. Of a network whose last activation is not one of Keras' own,
the score is the logarithm of the probability.

Layers are called one after the other, without a graph, which would take longer to build than the
few images of a report need. Only if there are kernels behind the feature maps, a graph is built: it
leaves out the gradients by these kernels, which nobody needs, and whose computation in TensorFlow
on a CPU damages memory for some shapes (seen with kernels of 1x1 and a stride of 2).

What passes through a layer is seen by replacing its public attributes `call` and `activation` for
the time of a call. This works for networks inside networks and for subclasses of Model alike.
"""

from __future__ import annotations

from collections.abc import Iterator, Sequence
from contextlib import ExitStack, contextmanager
from typing import Any, Callable, NamedTuple, Optional

import numpy as np
import numpy.typing as npt
import tensorflow as tf

_ACTIVATIONS = (tf.keras.activations.softmax, tf.keras.activations.sigmoid)
_KERNEL_DIMENSIONS = 4  # height, width, channels before and after
# How far activated scores may be from the network's output: its layers may be of half precision.
_SCORE_TOLERANCE = 2e-3
# The score is multiplied by it, or else float16 would round small gradients to 0.
_GRADIENT_SCALE = 256.0
_MIN_PROBABILITY = 1e-12


class _Layout(NamedTuple):
    """Where a network has what Grad-CAM needs, by the order in which parts end their work."""

    map_number: int  # number of the layer's call whose output is the feature maps
    score_number: Optional[int]  # number of the activation's call whose input is the scores
    has_kernels_behind: bool  # whether layers with kernels follow the feature maps


class _Recording:
    """What passed through the layers during one call of a network."""

    def __init__(self, visit: Callable[[int, Any, Any], None]) -> None:
        self._visit = visit
        self.num_calls = 0
        self.scores: list[Any] = []  # inputs of activations, (N, K)

    def add_output(self, layer: Any, output: Any) -> None:
        number, self.num_calls = self.num_calls, self.num_calls + 1
        if tf.is_tensor(output):
            self._visit(number, layer, output)

    def add_score(self, score: Any) -> None:
        if len(score.shape) == 2:
            self.scores.append(score)


class GradCam:
    """Computes heat maps of one network, from pixels to probabilities."""

    def __init__(self, network: tf.keras.Model) -> None:
        self._network = network
        self._layout = _find_layout(network)
        self._differentiate = self._find_gradients
        if self._layout is not None and self._layout.has_kernels_behind:
            signature = [
                tf.TensorSpec(network.input_shape, tf.uint8),
                tf.TensorSpec([None], tf.int32),
            ]
            self._differentiate = tf.function(self._find_gradients, input_signature=signature)

    @property
    def has_feature_maps(self) -> bool:
        """Whether the network has a layer with a kernel whose outputs are feature maps."""
        return self._layout is not None

    def compute_maps(
        self, images: npt.NDArray[np.uint8], class_ids: Sequence[int]
    ) -> npt.NDArray[np.float32]:
        """Return what speaks for a class in each image.

        Args:
            images: (N, height, width, channels) uint8, one or more.
            class_ids: N, the class of each image to explain.

        Returns:
            (N, h, w) float32, a value >= 0 for each place of the feature maps. All are 0 if no
            place speaks for the class.

        Raises:
            ValueError: the network has no feature maps.
        """
        if self._layout is None:
            raise ValueError("the network has no feature maps")
        maps, gradients = (
            np.asarray(each, np.float32)
            for each in self._differentiate(tf.constant(images), tf.constant(class_ids, tf.int32))
        )
        weights = gradients.mean(axis=(1, 2), keepdims=True) / np.float32(_GRADIENT_SCALE)
        return np.asarray(np.maximum((weights * maps).sum(axis=-1), 0))

    def _find_gradients(self, images: Any, class_ids: Any) -> tuple[Any, Any]:
        """Return the feature maps (N, h, w, K), and the gradients of the scores by them, scaled."""
        assert self._layout is not None
        map_number, score_number, _ = self._layout
        tape = tf.GradientTape(watch_accessed_variables=False)
        found: list[Any] = []

        def watch(number: int, _: Any, output: Any) -> None:
            if number == map_number:
                tape.watch(output)
                found.append(output)

        recording = _Recording(watch)
        with tape, _recorded(self._network, recording):
            probabilities = self._network(images, training=False)
            scores = None if score_number is None else recording.scores[score_number]
            total = tf.reduce_sum(_select_scores(probabilities, scores, class_ids))
            total *= _GRADIENT_SCALE
        gradients = tape.gradient(
            total, found[0], unconnected_gradients=tf.UnconnectedGradients.ZERO
        )
        return found[0], gradients


def _select_scores(probabilities: Any, scores: Any, class_ids: Any) -> Any:
    """Return the score of each image's class, (N,) float32."""
    if scores is None:
        values = tf.cast(probabilities, tf.float32)
        if values.shape[1] == 1:  # of the second class
            values = tf.concat([1 - values, values], axis=1)
        values = tf.math.log(tf.maximum(values, _MIN_PROBABILITY))
    else:
        values = tf.cast(scores, tf.float32)
        if values.shape[1] == 1:
            values = tf.concat([-values, values], axis=1)
    return tf.gather(values, class_ids, batch_dims=1)


def _find_layout(network: tf.keras.Model) -> Optional[_Layout]:
    """Look for the feature maps and the scores, in a call for one image."""
    height_px, width_px, channels = network.input_shape[1:]
    # Not black: more than one probability of 0.5 would leave open which activation is the last.
    grey_levels = np.random.default_rng(0).integers(0, 256, (1, height_px, width_px, channels))
    map_number: Optional[int] = None
    has_kernel = has_kernels_behind = False

    def look(number: int, layer: Any, output: Any) -> None:
        nonlocal map_number, has_kernel, has_kernels_behind
        # A network inside the network ends its work after its layers, whose weights it has.
        if not isinstance(layer, tf.keras.Model):
            layer_has_kernel = any(len(w.shape) == _KERNEL_DIMENSIONS for w in layer.weights)
            has_kernel |= layer_has_kernel
            has_kernels_behind |= layer_has_kernel
        is_map = len(output.shape) == 4 and output.shape[1] * output.shape[2] > 1
        if has_kernel and is_map and output.dtype.is_floating:
            map_number, has_kernels_behind = number, False

    recording = _Recording(look)
    with _recorded(network, recording):
        probabilities = network(tf.constant(grey_levels, tf.uint8), training=False)
    if map_number is None:
        return None
    score_number = _find_scores(recording.scores, probabilities)
    return _Layout(map_number, score_number, has_kernels_behind)


def _find_scores(candidates: Sequence[Any], probabilities: Any) -> Optional[int]:
    """Return the number of the last candidate of which softmax or sigmoid give the output."""
    expected = np.asarray(probabilities, np.float64)[0]
    for number in range(len(candidates) - 1, -1, -1):
        values = np.asarray(candidates[number], np.float64)[0]
        if len(values) == 1:
            activated = 1 / (1 + np.exp(-values))
        else:
            powers = np.exp(values - values.max())
            activated = powers / powers.sum()
        if len(expected) == 1:  # the probability of the second class
            activated = activated[-1:]
        if activated.shape == expected.shape and np.allclose(
            activated, expected, atol=_SCORE_TOLERANCE
        ):
            return number
    return None


@contextmanager
def _recorded(network: tf.keras.Model, recording: _Recording) -> Iterator[None]:
    """Record the outputs of all layers and the inputs of their last activations."""
    layers = [part for part in network.submodules if isinstance(part, tf.keras.layers.Layer)]
    with ExitStack() as stack:
        for layer in layers:
            stack.enter_context(_replaced(layer, "call", _record_call(layer, recording)))
            activation: Any = getattr(layer, "activation", None)
            if activation in _ACTIVATIONS:
                function = _record_activation(activation, recording)
                stack.enter_context(_replaced(layer, "activation", function))
        yield


def _record_call(layer: Any, recording: _Recording) -> Callable[..., Any]:
    call: Callable[..., Any] = layer.call
    is_softmax = isinstance(layer, tf.keras.layers.Softmax)

    def record(inputs: Any, *args: Any, **kwargs: Any) -> Any:
        if is_softmax:
            recording.add_score(inputs)
        output = call(inputs, *args, **kwargs)
        recording.add_output(layer, output)
        return output

    # In a graph, Keras would translate the function; what it calls is translated already.
    function: Callable[..., Any] = tf.autograph.experimental.do_not_convert(record)
    return function


def _record_activation(
    activation: Callable[[Any], Any], recording: _Recording
) -> Callable[[Any], Any]:
    def record(inputs: Any) -> Any:
        recording.add_score(inputs)
        return activation(inputs)

    return record


@contextmanager
def _replaced(owner: Any, name: str, value: Any) -> Iterator[None]:
    """Replace an attribute; one of the class is then one of the object."""
    is_own = name in vars(owner)
    before = getattr(owner, name)
    setattr(owner, name, value)
    try:
        yield
    finally:
        if is_own:
            setattr(owner, name, before)
        else:
            delattr(owner, name)
