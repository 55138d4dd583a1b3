"""An example of each section of a config, for the reference page of all settings."""

from __future__ import annotations

# By the anchor of the section.
EXAMPLES = {
    "config": """
        name: faces
        seed: 7
    """,
    "paths": """
        paths:
          images: s3://bucket/faces/raw
          dataset: s3://bucket/faces/dataset
          model: out/faces/model
          scores: out/faces/scores
    """,
    "pixels": """
        pixels:
          height_px: 96
          width_px: 96
          channels: 3
          fit: crop
          encoding: jpeg
          jpeg_quality: 90
    """,
    "splits": r"""
        splits:
          validation_fraction: 0.15
          test_fraction: 0.25
          group_by: ([^/]+)\.[^./]+$   # pictures with one file name stay together
    """,
    "preprocess": """
        preprocess:
          catalogue: s3://bucket/faces/labels.csv
          near_duplicates: drop
          max_reject_fraction: 0.01
          rows_per_shard: 20000
    """,
    "train": """
        train:
          epochs: 20
          batch_size: 128
          ranks: 4
          optimizer: sgd
          learning_rate: 0.1
          momentum: 0.9
          decay: cosine
          warmup_epochs: 2
          class_weights: {cat: 2, dog: 0.5}
          patience: 5
    """,
    "train.model.convnet": """
        train:
          model:
            name: convnet
            filters: [32, 64, 128]
            padding: same
            batch_norm: true
            dense: [128]
            dense_dropout: 0.3
    """,
    "train.model.mlp": """
        train:
          model: {name: mlp, hidden: [200, 60], dropout: [0.0, 0.25]}
    """,
    "train.model.residual": """
        train:
          model:
            name: residual
            filters: [64, 128, 256, 512]
            blocks: 2
            strides_px: [1, 2, 2, 2]
            stem_kernel_px: 7
            stem_stride_px: 2
            stem_pooling: true
    """,
    "train.model.application": """
        train:
          model:
            name: application
            architecture: EfficientNetB0
            weights: s3://bucket/weights/efficientnetb0_notop.h5
          freeze: all
    """,
    "train.model.head": """
        train:
          model:
            name: application
            architecture: MobileNetV2
            head: {pooling: max, dense: [128], dropout: 0.2}
    """,
    "train.model.custom": """
        train:
          model:
            name: custom
            build: mypackage.networks:build
            args: {depth: 3}
    """,
    "train.augment": """
        train:
          augment:
            flip: horizontal
            crop_padding_px: 4
            brightness_fraction: 0.2
            cutout_px: 8
    """,
    "score": """
        score:
          split: test
          threshold: precision
          wanted_precision: 0.99
          calibrate: true
          slices: [camera, site]
    """,
    "tracking": """
        tracking:
          uri: https://mlflow.example.org
          experiment: faces
    """,
    "monitoring": """
        monitoring:
          push_gateway: http://pushgateway.example.org:9091
    """,
    "card": """
        card:
          licence: cc-by-4.0
          intended_use: To tell photographs of faces from comic drawings of them.
          contact: vision@example.org
    """,
    "retrain": """
        retrain:
          folder: s3://bucket/faces/retrain
          registered_model: faces
          webhook: $RETRAIN_WEBHOOK
          fail_on_refusal: true
    """,
    "retrain.gate": """
        retrain:
          gate: {measure: f1, floor: 0.9, max_class_drop: 0.02}
    """,
    "retrain.drift": """
        retrain:
          drift: {warn: 0.1, stop: 0.3, embeddings: false}
    """,
    "retrain.keep": """
        retrain:
          keep: {nights: 30, datasets: 5, days: 90}
    """,
    "storage": """
        storage:
          options:
            s3:
              endpoint_url: https://minio.example.org:9000
    """,
    "spark": """
        spark:
          master: local[4]
          conf:
            spark.driver.memory: 8g
            spark.sql.shuffle.partitions: 64
    """,
}
