"""A trained network as files that other programs run: tensors, a StableHLO program, an ONNX graph."""
