"""Weights in: what fits, what is refused and in which words, and statistics recovered."""

import pickle
from dataclasses import replace
from pathlib import Path

import numpy as np
import pytest
import safetensors.torch
import torch
from torch import nn

from mobilens.errors import UnknownNameError, WeightsError
from mobilens.nn.backbone import build
from mobilens.nn.checkpoint import Checkpoint
from mobilens.nn.weights import (
    apply_pretrained,
    balance_filters,
    fit_state_dict,
    list_weights,
    load_pretrained,
    recover_batchnorm,
)
from mobilens.nn.weights.convert import fit_stem
from mobilens.nn.weights.files import keras_tensors, read_tensors
from mobilens.nn.weights.layouts import TIMM, TORCHVISION_V2, TORCHVISION_V3
from mobilens.nn.weights.layouts.folded import FOLDED
from mobilens.nn.weights.layouts.keras import KERAS_V1, KERAS_V3
from mobilens.nn.weights.registry import ENTRIES, entry_of_file
from mobilens.spec.task import Preprocessing, TaskSpec
from mobilens.spec.zoo import build_spec, list_models

SMALL = build_spec("mobilenet_v3_small", width_mult=0.35, resolution=64)
V2 = build_spec("mobilenet_v2", width_mult=0.35, resolution=64)


def random_net(spec, seed=0):
    """A net with parameters and statistics that all matter."""
    torch.manual_seed(seed)
    net = build(spec).eval()
    for module in net.modules():
        if isinstance(module, nn.BatchNorm2d):
            nn.init.uniform_(module.weight, 0.5, 1.5)
            nn.init.uniform_(module.bias, -0.5, 0.5)
            nn.init.uniform_(module.running_mean, -0.5, 0.5)
            nn.init.uniform_(module.running_var, 0.5, 1.5)
    nn.init.normal_(net.head.classifier.weight, std=0.1)
    return net


def in_layout(net, layout):
    """A net's state dict under the keys of a layout."""
    state = {key: value for key, value in net.state_dict().items() if "num_batches" not in key}
    rows = [f"blocks.{i}.0." for i in range(len(net.spec.rows))]
    keys = layout.keys(state, net.spec, rows)
    return {keys[name]: tensor.contiguous() for name, tensor in state.items()}


def folded(net):
    """A net's state dict with every BatchNorm folded, under the folded keys."""
    state = net.state_dict()
    names = [key for key in state if "num_batches" not in key]
    keys = FOLDED.keys(names, net.spec, ())
    tensors = {}
    for name in names:
        module = name.rpartition(".")[0]
        if module.endswith("norm"):
            continue
        norm = net.get_submodule(module.removesuffix("conv") + "norm") if "conv" in module else None
        tensors[keys[name]] = state[name]
        if norm is not None:
            scale = norm.weight / torch.sqrt(norm.running_var + norm.eps)
            tensors[keys[name]] = state[name] * scale[:, None, None, None]
            tensors[keys[f"{module.removesuffix('conv')}norm.bias"]] = (
                norm.bias - scale * norm.running_mean
            )
    return {key: tensor.detach().contiguous() for key, tensor in tensors.items()}


def images(count=2, size=64, channels=3, seed=1):
    return torch.randn(count, channels, size, size, generator=torch.Generator().manual_seed(seed))


@torch.inference_mode()
def answers(net, x):
    return net.eval()(x)


def close(a, b, tolerance=1e-4):
    return float((a - b).abs().max() / b.abs().max()) < tolerance


class TestFolded:
    @pytest.mark.parametrize("spec", [SMALL, V2, build_spec("mobilenet_v1", width_mult=0.25)])
    def test_answers_are_those_of_the_net_that_was_folded(self, spec):
        same = replace(spec, padding="same")
        net = random_net(same)
        weights = fit_state_dict(folded(net), spec)
        assert weights.folded
        assert weights.model.padding == "same"
        assert weights.preprocessing.mean == (0.5, 0.5, 0.5)
        again = build(weights.model)
        apply_pretrained(again, weights)
        assert close(answers(again, images()), answers(net, images()))

    def test_half_precision_becomes_single(self):
        state = {key: tensor.half() for key, tensor in folded(random_net(SMALL)).items()}
        weights = fit_state_dict(state, SMALL)
        floats = [t for key, t in weights.tensors.items() if "num_batches" not in key]
        assert {tensor.dtype for tensor in floats} == {torch.float32}


class TestRecovery:
    @pytest.fixture
    def net(self):
        """Folded weights, just loaded: every BatchNorm has identity statistics."""
        weights = fit_state_dict(folded(random_net(SMALL)), SMALL)
        net = build(weights.model)
        apply_pretrained(net, weights)
        return net

    def test_answers_stay(self, net):
        before = answers(net, images(4))
        recover_batchnorm(net, [images(8, seed=2), images(3, seed=3)])
        assert close(answers(net, images(4)), before)

    def test_training_mode_then_gives_nearly_the_same(self, net):
        batch = images(32, seed=2)
        before = answers(net, batch)

        def in_training():
            net.train()
            net.head.dropout.eval()
            with torch.no_grad():
                return net(batch)

        state = {key: tensor.clone() for key, tensor in net.state_dict().items()}
        broken = in_training()
        net.load_state_dict(state)
        recover_batchnorm(net, [batch])
        assert close(in_training(), before, 1e-3)
        assert not close(broken, before, 0.1), "nothing needed recovery"

    def test_statistics_over_batches_are_those_over_all(self, net):
        batch = images(12, seed=2)
        seen = []
        norm = net.backbone.blocks[3].depthwise.norm
        hook = norm.register_forward_pre_hook(lambda _, inputs: seen.append(inputs[0].clone()))
        answers(net, batch)
        hook.remove()
        recover_batchnorm(net, batch.split(5))
        torch.testing.assert_close(norm.running_mean, seen[0].mean((0, 2, 3)), rtol=1e-4, atol=1e-5)
        variance = seen[0].var((0, 2, 3), correction=0)
        torch.testing.assert_close(norm.running_var, variance, rtol=1e-4, atol=1e-6)

    def test_a_channel_that_never_varies_stays_finite_and_the_same(self, net):
        with torch.no_grad():
            net.backbone.blocks[2].expand.conv.weight[5] = 0
        batch = images(8, seed=2)
        before = answers(net, batch)
        recover_batchnorm(net, [batch])
        assert net.backbone.blocks[2].expand.norm.running_var[5] == 0
        assert close(answers(net, batch), before)
        net.train()
        assert torch.isfinite(net(batch)).all()

    def test_balanced_filters_answer_the_same_and_vary_by_one(self, net):
        batch = images(16, seed=2)
        before = answers(net, batch)
        recover_batchnorm(net, [batch])
        norms = [block.depthwise.norm for block in net.backbone.blocks[:3]]
        varies = [norm.running_var > norm.eps for norm in norms]
        balance_filters(net)
        assert close(answers(net, batch), before)
        for norm, enough in zip(norms, varies, strict=True):
            variance = norm.running_var[enough]
            torch.testing.assert_close(variance, torch.ones_like(variance))
            assert (norm.running_var[~enough] < 1).all()
        net.train()
        net.head.dropout.eval()
        with torch.no_grad():
            assert close(net(batch), before, 1e-2)

    def test_modes_come_back(self, net):
        net.train()
        net.backbone.blocks[1].eval()
        modes = [module.training for module in net.modules()]
        recover_batchnorm(net, [images(2)])
        assert [module.training for module in net.modules()] == modes

    def test_no_images_are_refused(self, net):
        with pytest.raises(WeightsError, match="no images to measure BatchNorm statistics on"):
            recover_batchnorm(net, [])


class TestClassifierAndStem:
    def test_another_number_of_classes_leaves_the_classifier_fresh(self):
        weights = fit_state_dict(in_layout(random_net(SMALL), TIMM), SMALL.with_classes(7))
        assert weights.fresh == ("head.classifier.weight", "head.classifier.bias")
        net = build(weights.model)
        own = net.head.classifier.weight.detach().clone()
        apply_pretrained(net, weights)
        assert torch.equal(net.head.classifier.weight, own)

    def test_the_same_number_of_classes_fills_it(self):
        assert fit_state_dict(in_layout(random_net(SMALL), TIMM), SMALL).fresh == ()

    def test_a_grey_stem_answers_as_the_grey_image_repeated(self):
        net = random_net(build_spec("mobilenet_v3_small", width_mult=0.35, bn_eps=1e-5))
        grey_spec = build_spec("mobilenet_v3_small", width_mult=0.35, in_channels=1)
        weights = fit_state_dict(in_layout(net, TIMM), grey_spec)
        grey_net = build(weights.model)
        apply_pretrained(grey_net, weights)
        grey = images(channels=1)
        assert close(answers(grey_net, grey), answers(net, grey.expand(-1, 3, -1, -1)), 1e-5)

    def test_more_channels_repeat_and_keep_the_sum(self):
        weight = torch.randn(8, 3, 3, 3)
        wider = fit_stem(weight, 5)
        assert wider.shape == (8, 5, 3, 3)
        torch.testing.assert_close(wider[:, 3], weight[:, 0] * 3 / 5)
        torch.testing.assert_close(fit_stem(weight, 6).sum(1), weight.sum(1))

    def test_weights_without_top_leave_all_behind_the_pooling_fresh(self):
        state = in_layout(random_net(SMALL), TIMM)
        topless = {k: v for k, v in state.items() if not k.startswith(("classifier", "conv_head"))}
        assert fit_state_dict(topless, SMALL).fresh == (
            "head.hidden.0.weight",
            "head.hidden.0.bias",
            "head.classifier.weight",
            "head.classifier.bias",
        )


class TestRefusals:
    def test_wrong_width_names_the_first_mismatch_and_the_model(self, tmp_path):
        path = tmp_path / "some.safetensors"
        safetensors.torch.save_file(in_layout(random_net(SMALL), TIMM), path)
        with pytest.raises(WeightsError) as caught:
            load_pretrained(path, build_spec("mobilenet_v3_small"))
        assert str(caught.value) == (
            f"{path}: 'blocks.0.0.conv_pw.weight' is (8, 16, 1, 1)\n"
            "  expected: (16, 16, 1, 1) for backbone.blocks.0.project.conv.weight, "
            "weights of mobilenet_v3_small, width 1 (paper rule)\n"
            "  try: --model mobilenet_v3_small --width 0.35, which the file is of"
        )

    def test_torchvisions_width_rule_is_named(self, tmp_path):
        spec = build_spec("mobilenet_v3_small", width_mult=0.5, width_rule="torchvision")
        path = tmp_path / "some.pth"
        torch.save(in_layout(random_net(spec), TORCHVISION_V3), path)
        with pytest.raises(WeightsError) as caught:
            load_pretrained(path, build_spec("mobilenet_v3_small", width_mult=0.5))
        assert "--width 0.5 --width-rule torchvision" in caught.value.remedy

    def test_the_papers_width_rule_is_named_to_who_asked_for_the_other(self, tmp_path):
        spec = build_spec("mobilenet_v3_small", width_mult=0.5)
        path = tmp_path / "some.pth"
        torch.save(in_layout(random_net(spec), TIMM), path)
        asked = build_spec("mobilenet_v3_small", width_mult=0.5, width_rule="torchvision")
        with pytest.raises(WeightsError) as caught:
            load_pretrained(path, asked)
        assert "--width 0.5 --width-rule paper" in caught.value.remedy

    def test_a_checkpoints_width_rule_is_named(self, tmp_path):
        spec = build_spec("mobilenet_v3_small", width_mult=0.5, width_rule="torchvision")
        task = TaskSpec("classify", ("cat", "dog"))
        path = tmp_path / "best.safetensors"
        Checkpoint(spec, task, random_net(spec).state_dict()).save(path)
        with pytest.raises(WeightsError) as caught:
            load_pretrained(path, build_spec("mobilenet_v3_small", width_mult=0.5))
        assert "--width 0.5 --width-rule torchvision" in caught.value.remedy

    @pytest.mark.parametrize(
        ("change", "words"),
        [
            (lambda t: t.mul(torch.nan), "holds NaN or infinity"),
            (lambda t: t.double().mul(1e300), "holds NaN or infinity"),
            (lambda t: t.to(torch.int8), "is int8"),
        ],
    )
    def test_tensors_that_are_no_weights(self, change, words):
        state = in_layout(random_net(V2), TIMM)
        state["conv_stem.weight"] = change(state["conv_stem.weight"])
        with pytest.raises(WeightsError) as caught:
            fit_state_dict(state, V2)
        assert caught.value.given == f"the state dict: 'conv_stem.weight' {words}"

    def test_no_tensors_at_all(self, tmp_path):
        path = tmp_path / "some.safetensors"
        safetensors.torch.save_file({}, path)
        with pytest.raises(WeightsError, match="holds no tensors"):
            load_pretrained(path, V2)

    def test_a_missing_tensor_is_named(self):
        state = in_layout(random_net(V2), TORCHVISION_V2)
        del state["features.2.conv.1.1.running_mean"]
        with pytest.raises(WeightsError) as caught:
            fit_state_dict(state, V2)
        assert caught.value.given == "the state dict has no 'features.2.conv.1.1.running_mean'"
        assert caught.value.expected.startswith("(48,) for backbone.blocks.1.depthwise.norm.runni")

    def test_a_tensor_without_a_place_is_named(self):
        state = in_layout(random_net(V2), TORCHVISION_V2)
        state["features.19.0.weight"] = torch.zeros(3, 2)
        with pytest.raises(WeightsError) as caught:
            fit_state_dict(state, V2)
        assert caught.value.given == (
            "the state dict: 'features.19.0.weight' (3, 2) has no place in mobilenet_v2"
        )

    def test_too_few_rows_are_named(self):
        state = in_layout(random_net(V2), TIMM)
        short = {key: t for key, t in state.items() if not key.startswith("blocks.16.")}
        with pytest.raises(WeightsError, match=r"has no 'blocks\.\(row 16\)\.conv_pw\.weight'"):
            fit_state_dict(short, V2)

    def test_an_unknown_layout_names_a_key(self):
        with pytest.raises(WeightsError) as caught:
            fit_state_dict({"layer1.0.conv1.weight": torch.zeros(1)}, V2)
        assert caught.value.given == (
            "the state dict holds tensors in no known layout (the first is 'layer1.0.conv1.weight')"
        )

    def test_an_unknown_name_lists_the_models_own(self):
        with pytest.raises(UnknownNameError) as caught:
            load_pretrained("mobilenet_v1.ra4", build_spec("mobilenet_v1"))
        assert caught.value.expected == "one of mobilenet_v1.ra4_e3600_r224_in1k"

    def test_a_folder(self, tmp_path):
        with pytest.raises(WeightsError, match="is a folder"):
            load_pretrained(tmp_path, V2)

    def test_a_missing_file(self):
        with pytest.raises(WeightsError, match=r"there is no file nowhere\.pth"):
            load_pretrained("nowhere.pth", V2)

    def test_applying_to_another_net(self):
        weights = fit_state_dict(in_layout(random_net(V2), TIMM), V2)
        with pytest.raises(WeightsError, match="and the net differ in backbone"):
            apply_pretrained(build(SMALL), weights)

    def test_applying_to_a_net_of_another_epsilon(self):
        weights = fit_state_dict(in_layout(random_net(V2), TIMM), V2)
        with pytest.raises(WeightsError) as caught:
            apply_pretrained(build(V2), weights)
        assert str(caught.value) == (
            "the net has bn_eps 0.001\n"
            "  expected: 1e-05, which the state dict needs\n"
            "  try: build(weights.model)"
        )

    def test_a_variance_below_zero(self):
        state = in_layout(random_net(V2), TIMM)
        state["bn1.running_var"] = -state["bn1.running_var"]
        with pytest.raises(WeightsError, match=r"'bn1\.running_var' holds a negative variance"):
            fit_state_dict(state, V2)

    def test_half_a_classifier(self):
        state = in_layout(random_net(V2), TIMM)
        state["classifier.bias"] = torch.zeros(10)
        with pytest.raises(WeightsError) as caught:
            fit_state_dict(state, V2)
        assert caught.value.expected == "one number of classes"

    def test_what_a_file_does_not_tell_is_said(self, tmp_path):
        for name, assumed in (("mine.safetensors", True), ("tf_mine.safetensors", False)):
            safetensors.torch.save_file(in_layout(random_net(V2), TIMM), tmp_path / name)
            weights = load_pretrained(tmp_path / name, V2)
            assert ("symmetric padding" in weights.caveat) == assumed
            assert weights.model.padding == ("symmetric" if assumed else "same")

    def test_sizes_at_which_keras_pads_otherwise_are_said(self):
        assert KERAS_V1.caveat_at((224, 96)) == ""
        assert "no multiples of 32" in KERAS_V1.caveat_at((224, 97))


class TestFiles:
    @pytest.mark.parametrize("wrapped", [False, True])
    def test_torch_files_wrapped_or_not(self, tmp_path, wrapped):
        net = random_net(V2)
        state = in_layout(net, TORCHVISION_V2)
        if wrapped:
            state = {"state_dict": {f"module.{key}": t for key, t in state.items()}, "epoch": 3}
        torch.save(state, tmp_path / "some.pth")
        weights = load_pretrained(tmp_path / "some.pth", V2)
        name = "backbone.stem.conv.weight"
        assert torch.equal(weights.tensors[name], net.state_dict()[name])
        assert weights.preprocessing.mean == (0.485, 0.456, 0.406)

    def test_nothing_in_a_torch_file_is_executed(self, tmp_path):
        ran = tmp_path / "ran"

        class Payload:
            def __reduce__(self):
                return ran.touch, ()

        path = tmp_path / "some.pth"
        torch.save({"weight": Payload()}, path)
        with pytest.raises(WeightsError, match="is no plain file of tensors"):
            load_pretrained(path, V2)
        path.write_bytes(pickle.dumps(Payload(), protocol=2))
        with pytest.raises(WeightsError, match="is no plain file of tensors"):
            load_pretrained(path, V2)
        assert not ran.exists()

    def test_of_a_compiled_net_the_names_are_the_plain_ones(self, tmp_path):
        state = random_net(V2).state_dict()
        torch.save(
            {"net": {f"_orig_mod.{key}": tensor for key, tensor in state.items()} | {3: state}},
            tmp_path / "some.pth",
        )
        tensors, _ = read_tensors(tmp_path / "some.pth")
        assert tensors.keys() == state.keys()

    def test_sparse_tensors_are_no_weights(self, tmp_path):
        state = in_layout(random_net(V2), TIMM)
        state["conv_stem.weight"] = state["conv_stem.weight"].to_sparse()
        torch.save(state, tmp_path / "some.pth")
        with pytest.raises(WeightsError, match="is a sparse or empty tensor"):
            load_pretrained(tmp_path / "some.pth", V2)

    def test_words_are_no_weights(self):
        with pytest.raises(WeightsError, match="expected: numbers"):
            keras_tensors({"conv/kernel": np.array(["a", "b"])})

    def test_a_folder_with_a_published_name_says_nothing_of_other_files(self):
        folder = "mobilenetv3_small_050.lamb_in1k"
        for path, known in (
            (f"{folder}/model.safetensors", True),
            (f"models--timm--{folder}/snapshots/abc/model.safetensors", True),
            (f"{folder}/flowers.safetensors", False),
            (f"{folder}/finetune/flowers.safetensors", False),
            (f"{folder}/finetune/model.safetensors", False),
        ):
            assert (entry_of_file(Path(path)) is not None) is known, path

    @pytest.mark.parametrize("averaged", ["state_dict_ema", "model_ema"])
    def test_of_a_trainings_file_the_averaged_weights_are_taken(self, tmp_path, averaged):
        state = in_layout(random_net(V2), TORCHVISION_V2)
        mean = {f"module.{key}": tensor * 2 for key, tensor in state.items()}
        mean["n_averaged"] = torch.tensor(7)
        torch.save({"state_dict": state, "model": state, averaged: mean}, tmp_path / "some.pth")
        tensors, _ = read_tensors(tmp_path / "some.pth")
        assert tensors.keys() == state.keys()
        assert all(torch.equal(tensors[key], tensor * 2) for key, tensor in state.items())

    @pytest.mark.parametrize("suffix", [".safetensors", ".pth", ".npz", ".keras"])
    @pytest.mark.parametrize("content", [b"", b"not weights", b"e e e", bytes(200), b"<html>"])
    def test_damaged_files_are_named(self, tmp_path, suffix, content):
        path = tmp_path / f"some{suffix}"
        path.write_bytes(content)
        with pytest.raises(WeightsError, match="some"):
            load_pretrained(path, V2)

    def test_hdf5_without_what_it_names(self, tmp_path):
        h5py = pytest.importorskip("h5py")
        path = tmp_path / "some.h5"
        with h5py.File(path, "w") as file:
            file.attrs["layer_names"] = ["gone"]
        with pytest.raises(WeightsError, match="is no readable HDF5 file"):
            load_pretrained(path, V2)

    def test_damaged_hdf5(self, tmp_path):
        pytest.importorskip("h5py")
        path = tmp_path / "some.h5"
        path.write_bytes(b"not weights")
        with pytest.raises(WeightsError, match="is no readable HDF5 file"):
            load_pretrained(path, V2)

    def test_our_own_checkpoint_gives_its_class_names(self, tmp_path):
        spec = build_spec("mobilenet_v2", width_mult=0.35, num_classes=2, padding="same")
        task = TaskSpec("classify", ("cat", "dog"), Preprocessing(size=(96, 96), std=(1, 1, 1)))
        net = random_net(spec)
        path = tmp_path / "best.safetensors"
        Checkpoint(spec, task, net.state_dict(), {"weights_licence": "CC0-1.0"}).save(path)
        weights = load_pretrained(path, V2.with_classes(2))
        assert weights.class_names == ("cat", "dog")
        assert weights.licence == "CC0-1.0"
        assert weights.fresh == ()
        assert weights.model.padding == "same"
        assert weights.preprocessing.std == (1, 1, 1)
        assert weights.preprocessing.size == V2.resolution
        with pytest.raises(WeightsError, match=r"backbone\.stem\.conv\.weight") as caught:
            load_pretrained(path, build_spec("mobilenet_v2", num_classes=2))
        assert caught.value.remedy == "--model mobilenet_v2 --width 0.35, which the file is of"

    def test_our_own_state_dict(self, tmp_path):
        net = random_net(V2)
        torch.save(net.state_dict(), tmp_path / "net.pt")
        weights = load_pretrained(tmp_path / "net.pt", V2)
        assert all(torch.equal(t, weights.tensors[k]) for k, t in net.state_dict().items())

    def test_a_file_with_a_published_name_has_what_is_known_of_it(self, tmp_path):
        spec = build_spec("mobilenet_v3_small", width_mult=0.5)
        path = tmp_path / "mobilenetv3_small_050.lamb_in1k.safetensors"
        safetensors.torch.save_file(in_layout(random_net(spec), TIMM), path)
        weights = load_pretrained(path, spec)
        assert (weights.top1, weights.licence) == (57.92, "Apache-2.0")
        assert weights.preprocessing.interpolation == "bicubic"

    def test_what_a_file_says_of_its_licence_is_kept(self, tmp_path):
        path = tmp_path / "some.safetensors"
        state = folded(random_net(V2))
        safetensors.torch.save_file(state, path, {"license": "Apache-2.0"})
        assert load_pretrained(path, V2).licence == "Apache-2.0"

    @pytest.mark.parametrize("name", ["tf_mobilenetv3_small_035.pth", "mobilenetv3_small_035.pth"])
    def test_ports_of_tensorflow_pad_as_it_does(self, tmp_path, name):
        torch.save(in_layout(random_net(SMALL), TIMM), tmp_path / name)
        model = load_pretrained(tmp_path / name, SMALL).model
        port = name.startswith("tf_")
        assert (model.padding, model.bn_eps) == (("same", 1e-3) if port else ("symmetric", 1e-5))

    def test_names_of_keras_2_are_those_of_keras_3(self):
        arrays = {
            "expanded_conv/depthwise/depthwise_kernel:0": np.zeros((3, 3, 16, 1)),
            "expanded_conv/depthwise/BatchNorm/gamma:0": np.zeros(16),
            "expanded_conv/squeeze_excite/Conv_1/kernel:0": np.zeros((1, 1, 8, 16)),
            "Conv_2/kernel:0": np.zeros((1, 1, 576, 1024)),
            "Logits/bias:0": np.zeros(1000),
        }
        spec = build_spec("mobilenet_v3_small")
        known = KERAS_V3.keys(build(spec).state_dict(), spec, ()).values()
        assert set(keras_tensors(arrays)) <= set(known)


class TestRegistry:
    @pytest.mark.parametrize("name", sorted(ENTRIES))
    def test_an_entry_is_of_a_model_in_the_zoo(self, name):
        entry = ENTRIES[name]
        assert entry.model in list_models()
        spec = build_spec(entry.model, width_mult=entry.width_mult)
        assert entry.fits(spec)
        assert not entry.fits(build_spec(entry.model, width_mult=entry.width_mult + 0.1))
        width = "" if entry.width_mult == 1 else f"_{round(100 * entry.width_mult):03d}"
        assert name.startswith(f"{entry.model}{width}.")

    def test_best_first(self):
        scores = [entry.top1 for entry in list_weights("mobilenet_v3_large")]
        known = [score for score in scores if score is not None]
        assert known == sorted(known, reverse=True)
        assert scores[: len(known)] == known

    @pytest.mark.parametrize(
        ("path", "name"),
        [
            ("x/mobilenet_v3_small-047dcff4.pth", "mobilenet_v3_small.torchvision_v1"),
            ("mobilenet_v3_small.lamb_in1k.safetensors", "mobilenet_v3_small.lamb_in1k"),
            (
                "models--timm--mobilenetv3_small_100.lamb_in1k/snapshots/abc/model.safetensors",
                "mobilenet_v3_small.lamb_in1k",
            ),
            ("mobilenetv3_small_100.lamb_in1k/model.safetensors", "mobilenet_v3_small.lamb_in1k"),
            ("mobilenet_v3_small_100_224.safetensors", None),
        ],
    )
    def test_files_are_known_by_name(self, tmp_path, path, name):
        entry = entry_of_file(tmp_path / path)
        assert (entry.name if entry else None) == name
