"""Transfer learning in Keras, and a look at what came of it: python examples/keras_transfer.py [FOLDER]

The convolutions of the bundled network, trained on cats and dogs, are kept as they are; a new head learns to tell
three shapes apart. The network that comes out has a network inside it, as transfer learning has it.
"""

import sys

from shapes import CLASSES, shapes

import convlens
from convlens.backend import keras_ready

keras = keras_ready()
keras.utils.set_random_seed(0)

pets = convlens.load("bundled").model
base = keras.Model(pets.inputs, pets.get_layer("max_pooling2d_8").output, name="pets")
base.trainable = False

pixels = keras.Input((150, 150, 3))
features = base(keras.layers.Rescaling(1 / 255, name="rescaling")(pixels))
pooled = keras.layers.GlobalAveragePooling2D(name="mean")(features)
answer = keras.layers.Dense(len(CLASSES), activation="softmax", name="classes")(pooled)
model = keras.Model(pixels, answer, name="shapes")

# the base does not change, so its features are computed once, and the head alone is trained on them
seen, wanted = shapes(300, 150, seed=0)
unseen, right = shapes(100, 150, seed=1)
head = keras.Sequential([model.get_layer("classes")])
head.compile(keras.optimizers.Adam(0.03), "sparse_categorical_crossentropy", metrics=["accuracy"])
before = keras.Model(pixels, pooled)
head.fit(before.predict(seen, verbose=0), wanted, epochs=60, batch_size=50, verbose=0)
accuracy = head.evaluate(before.predict(unseen, verbose=0), right, verbose=0)[1]
print(f"accuracy on pictures not seen before: {accuracy:.0%}")

network = convlens.load(model, labels=CLASSES)
out = sys.argv[1] if len(sys.argv) > 1 else "convlens-keras-transfer"
print(convlens.report(network, list(unseen[:2]), out, overwrite=True))
