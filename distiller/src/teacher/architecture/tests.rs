use super::*;

#[test]
fn distances_have_the_buckets_that_python_gives_them() {
    // MPNetEncoder.relative_position_bucket of these.
    let cases = [
        (0, 0),
        (-1, 1),
        (-7, 7),
        (-8, 8),
        (-11, 8),
        (-12, 9),
        (-90, 14),
        (-91, 15),
        (-5000, 15),
        (1, 17),
        (8, 24),
        (16, 26),
        (127, 31),
        (5000, 31),
    ];
    for (distance, bucket) in cases {
        assert_eq!(distance_bucket(distance), bucket, "{distance}");
    }
}

#[test]
fn padding_stands_on_its_own_row() {
    let table = AbsolutePositions {
        rows: 34,
        padding: Some(1),
    };
    let rows: Vec<usize> = table.rows(&[0, 1, 7, 1, 2]).collect();
    assert_eq!(rows, [2, 1, 3, 1, 4]);
    let plain = AbsolutePositions {
        rows: 32,
        padding: None,
    };
    assert_eq!(plain.rows(&[1, 1, 1]).collect::<Vec<_>>(), [0, 1, 2]);
}
