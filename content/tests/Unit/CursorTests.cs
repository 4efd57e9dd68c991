using Storefront.Utilities;

namespace Unit;

public class CursorTests
{
    [Theory]
    [InlineData("A-1")]
    [InlineData("01a2044a-583f-7537-a1ff-5862a3149d01")]
    public void A_cursor_comes_back_as_the_key_it_was_made_of(string key) =>
        Cursor.Decode(Cursor.Encode(key)).Should().Be(key);

    [Fact]
    public void No_cursor_is_the_first_page() => Cursor.Decode(null).Should().BeNull();

    [Theory]
    [InlineData("?")]
    [InlineData("a")]
    [InlineData("_w")] // the byte FF is not UTF-8
    [InlineData("AAAA")] // control characters
    public void What_is_no_cursor_of_ours_is_invalid_input(string cursor) =>
        FluentActions.Invoking(() => Cursor.Decode(cursor)).Should().Throw<OperationalException>().Which.Failure.Should().Be(Failure.Invalid);
}
