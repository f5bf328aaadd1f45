# The six public test sets of word recognition.
test_root = 'data/mixture'

# IIIT5K comes first; the others differ in where they are.
test1 = dict(
    type='OCRDataset',
    img_prefix=f'{test_root}/IIIT5K',
    ann_file=f'{test_root}/IIIT5K/test_label.txt',
    loader=dict(
        type='AnnFileLoader',
        repeat=1,
        file_format='txt',
        parser=dict(
            type='LineStrParser', keys=['filename', 'text'], keys_idx=[0, 1], separator=' ')),
    pipeline=None,
    test_mode=True)

test2 = {key: value for key, value in test1.items()}
test2['img_prefix'] = f'{test_root}/svt'
test2['ann_file'] = f'{test_root}/svt/test_label.txt'

test3 = {key: value for key, value in test1.items()}
test3['img_prefix'] = f'{test_root}/icdar_2013'
test3['ann_file'] = f'{test_root}/icdar_2013/test_label_1015.txt'

test4 = {key: value for key, value in test1.items()}
test4['img_prefix'] = f'{test_root}/icdar_2015'
test4['ann_file'] = f'{test_root}/icdar_2015/test_label.txt'

test5 = {key: value for key, value in test1.items()}
test5['img_prefix'] = f'{test_root}/svtp'
test5['ann_file'] = f'{test_root}/svtp/test_label.txt'

test6 = {key: value for key, value in test1.items()}
test6['img_prefix'] = f'{test_root}/ct80'
test6['ann_file'] = f'{test_root}/ct80/test_label.txt'

test_list = [test1, test2, test3, test4, test5, test6]
