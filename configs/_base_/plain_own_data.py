_base_ = [
    './models/deeplabv3plus_efficientnet-lite0-d16.py',
    './datasets/own_data.py',
    './schedules/schedule_2k_adamw.py',
    './default_runtime.py',
]
