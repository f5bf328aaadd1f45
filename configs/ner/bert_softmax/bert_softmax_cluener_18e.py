_base_ = [
    '../../_base_/schedules/schedule_adadelta_18e.py',
    '../../_base_/default_runtime.py',
]

data_root = 'data/cluener2020'
max_len = 128

ner_convertor = dict(
    type='NerConvertor',
    annotation_type='bio',
    vocab_file=f'{data_root}/vocab.txt',
    categories=[
        'address', 'book', 'company', 'game', 'government', 'movie', 'name', 'organization',
        'position', 'scene',
    ],
    max_len=max_len)

model = dict(
    type='NerClassifier',
    encoder=dict(
        type='BertEncoder',
        max_position_embeddings=512,
        # BERT-base Chinese as MMOCR publishes it. A file in Hugging Face's layout does as well.
        init_cfg=dict(
            type='Pretrained',
            checkpoint='https://download.openmmlab.com/mmocr/ner/bert_softmax/bert_pretrain.pth')),
    decoder=dict(type='FCDecoder'),
    loss=dict(type='MaskedCrossEntropyLoss'),
    label_convertor=ner_convertor)

pipeline = [
    dict(type='NerTransform', label_convertor=ner_convertor, max_len=max_len),
    dict(type='ToTensorNER'),
]
texts = dict(
    type='NerDataset',
    loader=dict(
        type='HardDiskLoader',
        repeat=1,
        parser=dict(type='LineJsonParser', keys=['text', 'label'])),
    pipeline=pipeline)

data = dict(
    samples_per_gpu=24,
    workers_per_gpu=2,
    train=dict(ann_file=f'{data_root}/train.json', test_mode=False, **texts),
    val=dict(ann_file=f'{data_root}/dev.json', test_mode=True, **texts),
    test=dict(ann_file=f'{data_root}/dev.json', test_mode=True, **texts))

evaluation = dict(interval=1, metric='f1-score')
